// From a mini-batch's images to the logits of its classes.
//
// Threads share a task by its images. Sums over images are taken image after image: the result is
// the same to the bit with any number of threads.

#pragma once
#include <cmath>
#include <cstdint>

#include "plan.h"
#include "products.h"

struct Team {  // the threads that work on one task, and which of them this is
  int rank, size;
  Barrier* barrier;
  void wait() const {
    if (size > 1) barrier->wait(size);
  }
};

struct Forward {
  const Plan& plan;
  Space& s;
  const float* phi;
  Team team;

  float* x_of(int block, int image) const {
    return s.x[block].data() + (size_t)image * plan.blocks[block].padded_size;
  }
  float* y_of(int block, int image) const {
    return s.y[block].data() +
           (size_t)image * plan.blocks[block].positions * plan.blocks[block].filters;
  }
  float* peaks_of(int block, int image) const {
    const Block& b = plan.blocks[block];
    return b.pool == 1
               ? y_of(block, image)
               : s.peaks[block].data() + (size_t)image * b.out_side * b.out_side * b.filters;
  }
  float* features_of(int image) const { return s.features.data() + (size_t)image * plan.flat; }
  float* logits_of(int image) const { return s.logits.data() + (size_t)image * plan.ways; }

  // Visit this thread's images; every other time from the last: its data still lie in the caches.
  template <typename F>
  void each_image(bool backwards, F visit) const {
    const int from = team.rank * plan.n / team.size, end = (team.rank + 1) * plan.n / team.size;
    for (int i = 0; i < end - from; i++) visit(backwards ? end - 1 - i : from + i);
  }

  void forward(const float* x) const {
    const int blocks = (int)plan.blocks.size();
    each_image(false, [&](int image) { read(x, image), convolve(0, image); });
    for (int block = 0; block < blocks; block++) {
      team.wait();
      summarise(block);
      each_image(block % 2 == 0, [&](int image) {
        activate(block, image);
        if (block + 1 < blocks) convolve(block + 1, image);
        else classify(image);
      });
    }
  }

  // Copy an image, (C, side, side), into the first block's input.
  void read(const float* images, int image) const {
    const Block& b = plan.blocks[0];
    const float* from = images + (size_t)image * b.channels * b.side * b.side;
    float* to = x_of(0, image) + b.before * (b.pitch + b.channels);
    for (int i = 0; i < b.side; i++, from += b.side)
      for (int j = 0; j < b.side; j++)
        for (int c = 0; c < b.channels; c++)
          to[i * b.pitch + j * b.channels + c] = from[c * b.side * b.side + j];
  }

  // Convolve an image; keep each filter's mean over the image, and the sum of squares about it.
  void convolve(int block, int image) const {
    const Block& b = plan.blocks[block];
    float* sums = s.sums[block].data() + (size_t)image * 2 * b.filters;
    std::fill(sums, sums + 2 * b.filters, 0.f);
    const Matrix kernel{phi + b.kernel_at, b.filters, b.filters, span(b.filters) * LANES};
    const int strips = pieces(b.positions, POSITIONS);
    for (int i = 0; i < strips; i++) {
      const int p = start(i, b.positions, strips), now = start(i + 1, b.positions, strips) - p;
      float* y = y_of(block, image) + p * b.filters;
      multiply(x_of(block, image), b.at.data() + p, now, b.kernel_rows, 3 * b.channels, kernel, y,
               b.y_at.data());
      count(y, p, now, b.filters, sums);
    }
  }

  // Join the statistics of some positions, beside the caches' core, to those of `before` others
  // (Chan et al. 1979).
  static void count(const float* y, int before, int positions, int filters, float* sums) {
    const float share = (float)positions / (float)(before + positions);
    each_columns(filters, [&](int c, auto vectors) {
      constexpr int V = vectors();
      vec mean[V] = {}, squares[V] = {};
      for (int p = 0; p < positions; p++)
        for (int v = 0; v < V; v++) mean[v] += load(y + p * filters + c + v * LANES);
      for (int v = 0; v < V; v++) mean[v] /= (float)positions;
      for (int p = 0; p < positions; p++)
        for (int v = 0; v < V; v++) {
          const vec d = load(y + p * filters + c + v * LANES) - mean[v];
          squares[v] += d * d;
        }
      for (int v = 0; v < V; v++) {
        float *old_mean = sums + c + v * LANES, *old_squares = old_mean + filters;
        const vec d = mean[v] - load(old_mean);
        store(old_mean, load(old_mean) + d * share);
        store(old_squares, load(old_squares) + squares[v] + d * d * ((float)before * share));
      }
    });
  }

  // Visit all columns, some vectors at a time.
  template <typename F>
  static void each_columns(int columns, F visit) {
    if (columns % (4 * LANES) == 0)
      for (int c = 0; c < columns; c += 4 * LANES) visit(c, std::integral_constant<int, 4>{});
    else
      for (int c = 0; c < columns; c += LANES) visit(c, std::integral_constant<int, 1>{});
  }

  // Join the images' statistics into batch norm's scale, shift, mean and 1 / deviation; beside them
  // lie, later, the two coefficients of `average`.
  void summarise(int block) const {
    const Block& b = plan.blocks[block];
    float* norm = norm_of(block);
    for (int c = 0; c < b.filters; c += LANES) {
      const float* sums = s.sums[block].data() + c;
      vec mean{}, squares{};
      for (int i = 0; i < plan.n; i++) mean += load(sums + i * 2 * b.filters);
      mean /= (float)plan.n;
      for (int i = 0; i < plan.n; i++) {
        const vec d = load(sums + i * 2 * b.filters) - mean;
        squares += load(sums + (i * 2 + 1) * b.filters) + (float)b.positions * d * d;
      }
      squares = squares / ((float)plan.n * b.positions) + plan.eps;
      vec inverse{};
      for (int l = 0; l < LANES; l++) inverse[l] = 1 / std::sqrt(squares[l]);
      const vec scale = load(phi + b.gamma_at + c) * inverse;
      store(norm + c, scale);
      store(norm + b.filters + c, load(phi + b.beta_at + c) - mean * scale);
      store(norm + 2 * b.filters + c, mean), store(norm + 3 * b.filters + c, inverse);
    }
  }
  float* norm_of(int block) const {
    return s.norm[block].data() + (size_t)team.rank * 6 * plan.blocks[block].filters;
  }

  // Normalise, rectify and pool an image into the next block's input, or into the features; keep
  // what was largest in each window of pooling.
  void activate(int block, int image) const {
    const Block& b = plan.blocks[block];
    const bool is_last = block + 1 == (int)plan.blocks.size();
    const int pitch = is_last ? b.out_side * b.filters : plan.blocks[block + 1].pitch;
    float* to = is_last ? features_of(image) : x_of(block + 1, image);
    if (!is_last) to += plan.blocks[block + 1].before * (pitch + b.filters);
    const float *y = y_of(block, image), *norm = norm_of(block);
    float* peaks = peaks_of(block, image);
    const int filters = b.filters, side = b.conv_side, row = side * filters;
    for (int i = 0; i < b.out_side; i++, y += b.pool * row, to += pitch)
      for (int c = 0; c < filters; c += LANES) {
        const vec scale = load(norm + c), shift = load(norm + filters + c);
        if (b.pool == 1) {
          for (int j = 0; j < row; j += filters)
            store(to + j + c, larger(load(y + j + c) * scale + shift, vec{}));
          continue;
        }
        float* peak_to = peaks + i * b.out_side * filters + c;
        each_window(side, i, [=](int j, auto height, auto width) {
          const float* from = y + j * 2 * filters + c;
          vec peak = load(from), best = peak * scale + shift;
          for (int q = 1; q < height * width; q++) {
            const vec value = load(from + q / width * row + q % width * filters);
            const vec z = value * scale + shift;
            const mask is_old = z <= best;
            best = is_old ? best : z, peak = is_old ? peak : value;
          }
          store(to + j * filters + c, larger(best, vec{})), store(peak_to + j * filters, peak);
        });
      }
  }
  static vec larger(vec z, vec best) {
    return z <= best ? best : z;
  }  // NaN passes, as ReLU lets it

  // Visit a row of windows of 2 x 2: columns, and the pixels' rows and columns, fewer at the edge.
  template <typename F>
  static inline void each_window(int side, int i, F visit) {
    const std::integral_constant<int, 1> one;
    const std::integral_constant<int, 2> two;
    if (2 * i + 1 < side) {
      for (int j = 0; j < side / 2; j++) visit(j, two, two);
      if (side % 2) visit(side / 2, two, one);
    } else {
      for (int j = 0; j < side / 2; j++) visit(j, one, two);
      if (side % 2) visit(side / 2, one, one);
    }
  }

  void classify(int image) const {
    const float *features = features_of(image), *weight = phi + plan.head_at;
    for (int w = 0; w < plan.ways; w++, weight += plan.flat) {
      vec sum{};
      for (int f = 0; f < plan.flat; f += LANES) sum += load(features + f) * load(weight + f);
      float total = phi[plan.bias_at + w];
      for (int l = 0; l < LANES; l++) total += sum[l];
      logits_of(image)[w] = total;
    }
  }

  float* scratch() const { return s.scratch.data() + (size_t)team.rank * plan.scratch_size; }
};
