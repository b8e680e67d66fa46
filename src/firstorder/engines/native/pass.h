// The loss of a mini-batch and its gradient.
//
// Threads share a task by its images, and the gradients of its kernels by their rows. Sums over
// images are taken image after image: the result is the same to the bit with any number of threads.

#pragma once
#include <cmath>
#include <cstdint>

#include "plan.h"
#include "products.h"

struct Team {  // the threads that work on one task, and which of them this is
  int rank, size;
  void wait() const {
    if (size > 1) {
#pragma omp barrier
    }
  }
};

struct Pass {
  const Plan& plan;
  Space& s;
  const float* phi;
  Team team;

  float* x_of(int block, int image) const {
    return s.x[block].data() + (size_t)image * plan.blocks[block].padded_size;
  }
  float* dy_of(int block, int image) const {
    return s.dy[block].data() + (size_t)image * plan.blocks[block].dy_size;
  }
  float* y_of(int block, int image) const {
    return s.y[block].data() +
           (size_t)image * plan.blocks[block].positions * plan.blocks[block].filters;
  }
  float* dout_of(int image) const { return s.dout.data() + (size_t)image * plan.dout_size; }
  float* features_of(int image) const { return s.features.data() + (size_t)image * plan.flat; }
  float* logits_of(int image) const { return s.logits.data() + (size_t)image * plan.ways; }

  template <typename F>
  void each_image(F visit) const {
    for (int i = team.rank * plan.n / team.size; i < (team.rank + 1) * plan.n / team.size; i++)
      visit(i);
  }

  void forward(const float* x) const {
    const int blocks = (int)plan.blocks.size();
    each_image([&](int image) { read(x, image), convolve(0, image); });
    for (int block = 0; block < blocks; block++) {
      team.wait();
      summarise(block);
      each_image([&](int image) {
        activate(block, image);
        if (block + 1 < blocks) convolve(block + 1, image);
        else classify(image);
      });
    }
  }

  void backward(const int64_t* y, float weight) const {
    const int last = (int)plan.blocks.size() - 1;
    each_image([&](int image) { differentiate(image, y[image], weight), collect(last, image); });
    team.wait();
    head_gradient();
    for (int block = last; block >= 0; block--) {
      average(block);
      each_image([&](int image) {
        undo_norm(block, image);
        if (block) undo_convolution(block, image), collect(block - 1, image);
      });
      team.wait();
      kernel_gradient(block);
    }
    team.wait();
  }

  // Copy an image, (C, side, side), into the first block's input.
  void read(const float* images, int image) const {
    const Block& b = plan.blocks[0];
    const float* from = images + (size_t)image * b.channels * b.side * b.side;
    float* to = x_of(0, image) + (b.before * b.padded_side + b.before) * b.channels;
    for (int c = 0; c < b.channels; c++)
      for (int i = 0; i < b.side; i++)
        for (int j = 0; j < b.side; j++) to[(i * b.padded_side + j) * b.channels + c] = *from++;
  }

  // Convolve an image; keep each filter's mean over the image, and the sum of squares about it.
  void convolve(int block, int image) const {
    const Block& b = plan.blocks[block];
    float *y = y_of(block, image), *sums = s.sums[block].data() + (size_t)image * 2 * b.filters;
    multiply(x_of(block, image), b.at.data(), b.positions, b.kernel_rows, 3 * b.channels,
             phi + b.kernel_at, b.filters, y, b.y_at.data());
    for (int c = 0; c < b.filters; c += LANES) {
      vec mean{}, squares{};
      for (int p = 0; p < b.positions; p++) mean += load(y + p * b.filters + c);
      mean /= (float)b.positions;
      for (int p = 0; p < b.positions; p++) {
        const vec d = load(y + p * b.filters + c) - mean;
        squares += d * d;
      }
      store(sums + c, mean), store(sums + b.filters + c, squares);
    }
  }

  // Join the images' statistics (Chan et al. 1979) into batch norm's scale, shift, mean and 1 /
  // deviation; beside them lie, later, the two means of `average`.
  void summarise(int block) const {
    const Block& b = plan.blocks[block];
    const float* sums = s.sums[block].data();
    float* norm = norm_of(block);
    for (int c = 0; c < b.filters; c++) {
      double mean = 0, squares = 0;
      for (int i = 0; i < plan.n; i++) mean += sums[i * 2 * b.filters + c];
      mean /= plan.n;
      for (int i = 0; i < plan.n; i++) {
        const double d = sums[i * 2 * b.filters + c] - mean;
        squares += sums[(i * 2 + 1) * b.filters + c] + b.positions * d * d;
      }
      const double inverse = 1 / std::sqrt(squares / ((double)plan.n * b.positions) + plan.eps);
      norm[c] = phi[b.gamma_at + c] * inverse;
      norm[b.filters + c] = phi[b.beta_at + c] - mean * norm[c];
      norm[2 * b.filters + c] = mean;
      norm[3 * b.filters + c] = inverse;
    }
  }
  float* norm_of(int block) const {
    return s.norm[block].data() + (size_t)team.rank * 6 * plan.blocks[block].filters;
  }

  // Normalise, rectify and pool an image into the next block's input, or into the features.
  void activate(int block, int image) const {
    const Block& b = plan.blocks[block];
    const bool is_last = block + 1 == (int)plan.blocks.size();
    const int side = is_last ? b.out_side : plan.blocks[block + 1].padded_side;
    const int before = is_last ? 0 : plan.blocks[block + 1].before;
    const float *y = y_of(block, image), *norm = norm_of(block);
    float* to = is_last ? features_of(image) : x_of(block + 1, image);
    each_window(b, [&](int i, int j, const int* at, int count) {
      float* out = to + ((i + before) * side + j + before) * b.filters;
      for (int c = 0; c < b.filters; c += LANES) {
        vec best{};
        for (int q = 0; q < count; q++)
          best = larger(normalised(y + at[q] + c, norm + c, b.filters), best);
        store(out + c, best);
      }
    });
  }
  static vec normalised(const float* y, const float* norm, int filters) {
    return load(y) * load(norm) + load(norm + filters);
  }
  static vec larger(vec z, vec best) {
    return z <= best ? best : z;
  }  // NaN passes, as ReLU lets it

  // Visit the windows of pooling: row, column, and where their pixels lie in y.
  template <typename F>
  static void each_window(const Block& b, F visit) {
    int at[4];
    for (int i = 0; i < b.out_side; i++)
      for (int j = 0; j < b.out_side; j++) {
        int count = 0;
        for (int h = i * b.pool; h < std::min((i + 1) * b.pool, b.conv_side); h++)
          for (int w = j * b.pool; w < std::min((j + 1) * b.pool, b.conv_side); w++)
            at[count++] = (h * b.conv_side + w) * b.filters;
        visit(i, j, at, count);
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

  // The cross entropy of an image; its gradient takes the place of the logits, and goes on to the
  // features.
  void differentiate(int image, int64_t label, float weight) const {
    float *logits = logits_of(image), *dout = dout_of(image);
    const float most = *std::max_element(logits, logits + plan.ways);
    float total = 0;
    for (int w = 0; w < plan.ways; w++) total += std::exp(logits[w] - most);
    s.losses[image] = weight * (std::log(total) + most - logits[label]);
    for (int w = 0; w < plan.ways; w++)
      logits[w] = weight * (std::exp(logits[w] - most) / total - (w == label));
    for (int f = 0; f < plan.flat; f += LANES) {
      vec sum{};
      for (int w = 0; w < plan.ways; w++)
        sum += logits[w] * load(phi + plan.head_at + w * plan.flat + f);
      store(dout + f, sum);
    }
  }

  void head_gradient() const {
    for (int w = team.rank; w < plan.ways; w += team.size) {
      float bias = 0, *to = s.gradient.data() + plan.head_at + w * plan.flat;
      for (int i = 0; i < plan.n; i++) bias += logits_of(i)[w];
      s.gradient[plan.bias_at + w] = bias;
      for (int f = 0; f < plan.flat; f += LANES) {
        vec sum{};
        for (int i = 0; i < plan.n; i++) sum += logits_of(i)[w] * load(features_of(i) + f);
        store(to + f, sum);
      }
    }
  }

  // Visit an image's convolution: where in y, which channels, the normalised value, and dz, which
  // pooling lets through to the largest pixel of a window, and ReLU where it is above 0.
  template <typename F>
  void each_gradient(int block, int image, F visit) const {
    const Block& b = plan.blocks[block];
    const float *y = y_of(block, image), *norm = norm_of(block), *dout = dout_of(image);
    each_window(b, [&](int i, int j, const int* at, int count) {
      for (int c = 0; c < b.filters; c += LANES) {
        vec z[4], best{};
        for (int q = 0; q < count; q++)
          best = larger(z[q] = normalised(y + at[q] + c, norm + c, b.filters), best);
        const vec d = load(dout + (i * b.out_side + j) * b.filters + c);
        const vec mean = load(norm + 2 * b.filters + c), inverse = load(norm + 3 * b.filters + c);
        mask open = best > vec{};
        for (int q = 0; q < count; q++) {
          const mask chosen = open & (z[q] == best);
          open &= ~chosen;
          visit(at[q], c, (load(y + at[q] + c) - mean) * inverse, chosen ? d : vec{});
        }
      }
    });
  }

  // Sum dz, and dz times the normalised value, over an image: what batch norm's gradient needs of
  // it.
  void collect(int block, int image) const {
    const int filters = plan.blocks[block].filters;
    float* sums = s.dsums[block].data() + (size_t)image * 2 * filters;
    std::fill(sums, sums + 2 * filters, 0.f);
    each_gradient(block, image, [&](int, int c, vec normal, vec dz) {
      store(sums + c, load(sums + c) + dz);
      store(sums + filters + c, load(sums + filters + c) + dz * normal);
    });
  }

  // Join the images' sums: they are the gradients of beta and gamma; and divide them by the
  // positions.
  void average(int block) const {
    const Block& b = plan.blocks[block];
    float* means = norm_of(block) + 4 * b.filters;
    for (int c = 0; c < 2 * b.filters; c += LANES) {
      vec sum{};
      for (int i = 0; i < plan.n; i++) sum += load(s.dsums[block].data() + i * 2 * b.filters + c);
      store(means + c, sum / (float)(plan.n * b.positions));
      if (team.rank == 0)
        store(s.gradient.data() + (c < b.filters ? b.beta_at : b.gamma_at - b.filters) + c, sum);
    }
  }

  // dy = scale (dz - mean(dz) - normal mean(dz normal)).
  void undo_norm(int block, int image) const {
    const Block& b = plan.blocks[block];
    float* dy = dy_of(block, image);
    const float *scale = norm_of(block), *means = scale + 4 * b.filters;
    each_gradient(block, image, [&](int at, int c, vec normal, vec dz) {
      const vec dy_here =
          load(scale + c) * (dz - load(means + c) - normal * load(means + b.filters + c));
      store(dy + b.dy_at[at / b.filters] + c, dy_here);
    });
  }

  // The gradient of a block's input: each pixel collects from the outputs that saw it.
  void undo_convolution(int block, int image) const {
    const Block& b = plan.blocks[block];
    const float* kernel = s.flipped[block].data();
    for (const Parity& p : b.parities) {
      multiply(dy_of(block, image), p.at.data(), (int)p.at.size(), p.offsets, b.filters, kernel,
               b.channels, dout_of(image), p.out_at.data());
      kernel += p.taps.size() * b.filters * b.channels;
    }
  }

  // Kernels in the order in which `undo_convolution` reads them: (parity, tap, O, C).
  void flip() const {
    for (size_t block = 1; block < plan.blocks.size(); block++) {
      const Block& b = plan.blocks[block];
      float* to = s.flipped[block].data();
      for (const Parity& parity : b.parities)
        for (int tap : parity.taps) {
          const float* from = phi + b.kernel_at + tap * b.channels * b.filters;
          if (tap % team.size == team.rank)
            for (int o = 0; o < b.filters; o += LANES)
              for (int c = 0; c < b.channels; c++) {
                const vec w = load(from + c * b.filters + o);
                for (int l = 0; l < LANES; l++) to[(o + l) * b.channels + c] = w[l];
              }
          to += b.channels * b.filters;
        }
    }
  }

  // This thread's rows of the gradient of the kernels, (9 C, O).
  void kernel_gradient(int block) const {
    const Block& b = plan.blocks[block];
    const int rows = 9 * b.channels, most = rows_beside(span(b.filters)) * team.size;
    const int tiles = (rows + most - 1) / most * team.size, each = (rows + tiles - 1) / tiles;
    float* gradient = s.gradient.data() + b.kernel_at;
    for (int image = 0; image < plan.n; image += b.group)
      for (int r = team.rank * each; r < rows; r += team.size * each) {
        const int now = std::min(each, rows - r);
        float* to = gradient + r * b.filters;
        if (image == 0) std::fill(to, to + now * b.filters, 0.f);
        multiply_transposed(x_of(block, image), b.at.data(), dy_of(block, image), b.dy_at.data(),
                            b.positions * std::min(b.group, plan.n - image), b.entries.data() + r,
                            now, to, b.filters);
      }
  }
};
