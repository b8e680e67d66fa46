// The loss of a mini-batch and its gradient.
//
// Threads share the gradients of a task's kernels by their rows; sums as in forward.h.

#pragma once
#include <numeric>

#include "forward.h"

struct Pass : Forward {
  float* dy_of(int block, int image) const {
    return s.dy[block].data() + (size_t)image * plan.blocks[block].dy_size;
  }
  float* dout_of(int image) const { return s.dout.data() + (size_t)image * plan.dout_size; }

  void backward(const int64_t* y, float weight) const {
    const int last = (int)plan.blocks.size() - 1;
    each_image(last % 2 == 1,
               [&](int image) { differentiate(image, y[image], weight), collect(last, image); });
    team.wait();
    head_gradient();
    for (int block = last; block > 0; block--) {
      average(block);
      each_image(block % 2 == 0, [&](int image) {
        const Block& b = plan.blocks[block];
        undo_norm(block, image, 0, b.out_side, dy_of(block, image) + b.dy_at[0],
                  b.dy_side * b.filters);
        undo_convolution(block, image, s, s, s), collect(block - 1, image);
      });
      team.wait();
      kernel_gradient(block, s, s, s);
    }
    average(0);
    each_image(true, [&](int image) {
      first_gradient(image, s, [&](auto... rows) { undo_norm(0, image, rows...); });
    });
    team.wait();
  }

  // What an image's probability of a class is held against: its label, some of it spread over all.
  float target(int w, int64_t label) const {
    return plan.smoothing / plan.ways + (w == label ? 1 - plan.smoothing : 0);
  }

  // The cross entropy of an image; its gradient takes the place of the logits, and goes on to the
  // features.
  void differentiate(int image, int64_t label, float weight) const {
    float *logits = logits_of(image), *dout = dout_of(image);
    const float most = *std::max_element(logits, logits + plan.ways);
    float total = 0, hit = (1 - plan.smoothing) * logits[label];
    for (int w = 0; w < plan.ways; w++) total += std::exp(logits[w] - most);
    if (plan.smoothing > 0)
      hit += plan.smoothing / plan.ways * std::accumulate(logits, logits + plan.ways, 0.f);
    s.losses[image] = weight * (std::log(total) + most - hit);
    for (int w = 0; w < plan.ways; w++)
      logits[w] = weight * (std::exp(logits[w] - most) / total - target(w, label));
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

  // Let the gradient of an image through ReLU; sum it, and it times the normalised value, over the
  // image: what batch norm's gradient needs of it. Pooling lets it through to the peaks only.
  void collect(int block, int image) const {
    const Block& b = plan.blocks[block];
    const float *norm = norm_of(block), *peaks = peaks_of(block, image);
    float *sums = s.dsums[block].data() + (size_t)image * 2 * b.filters, *dout = dout_of(image);
    each_columns(b.filters, [&](int from, auto vectors) {
      constexpr int V = vectors() > 1 ? 2 : 1;  // so many constants and sums stay in the registers
      for (int c = from; c < from + vectors() * LANES; c += V * LANES) {
        vec scale[V], shift[V], mean[V], total[V] = {}, moment[V] = {};
        for (int v = 0; v < V; v++) {
          const float* at = norm + c + v * LANES;
          scale[v] = load(at), shift[v] = load(at + b.filters), mean[v] = load(at + 2 * b.filters);
        }
        for (int p = 0; p < b.out_side * b.out_side; p++)
          for (int v = 0; v < V; v++) {
            const int at = p * b.filters + c + v * LANES;
            const vec value = load(peaks + at);
            const vec d = value * scale[v] + shift[v] > vec{} ? load(dout + at) : vec{};
            store(dout + at, d);
            total[v] += d, moment[v] += d * (value - mean[v]);
          }
        for (int v = 0; v < V; v++) {
          const int at = c + v * LANES;
          store(sums + at, total[v]);
          store(sums + b.filters + at, moment[v] * load(norm + 3 * b.filters + at));
        }
      }
    });
  }

  // Join the images' sums: they are the gradients of beta and gamma. Divided by the positions they
  // give the gradient of the convolution, scale (dz - mean(dz) - normal mean(dz normal)), as
  // scale dz + shift + slope (y - mean).
  void average(int block) const {
    const Block& b = plan.blocks[block];
    float *norm = norm_of(block), *gradient = s.gradient.data();
    for (int c = 0; c < b.filters; c += LANES) {
      const float* sums = s.dsums[block].data() + c;
      vec total{}, moment{};
      for (int i = 0; i < plan.n; i++, sums += 2 * b.filters)
        total += load(sums), moment += load(sums + b.filters);
      const vec share = load(norm + c) / (float)(-plan.n * b.positions);
      store(norm + 4 * b.filters + c, share * total);
      store(norm + 5 * b.filters + c, share * moment * load(norm + 3 * b.filters + c));
      if (team.rank == 0)
        store(gradient + b.beta_at + c, total), store(gradient + b.gamma_at + c, moment);
    }
  }

  // The gradient of the convolution in some rows of outputs; `to` is where that of the first goes.
  void undo_norm(int block, int image, int from, int end, float* to, int pitch) const {
    const Block& b = plan.blocks[block];
    const int filters = b.filters, side = b.conv_side, row = side * filters;
    const float *norm = norm_of(block), *dout = dout_of(image) + from * b.out_side * filters;
    const float* peaks = peaks_of(block, image) + from * b.out_side * filters;
    const float* y = y_of(block, image) + from * b.pool * row;
    for (int i = from; i < end; i++) {
      for (int c = 0; c < filters; c += LANES) {
        const vec scale = load(norm + c), mean = load(norm + 2 * filters + c);
        const vec shift = load(norm + 4 * filters + c), slope = load(norm + 5 * filters + c);
        const auto undo = [=](vec value, vec dz) {
          return scale * dz + (shift + slope * (value - mean));
        };
        if (b.pool == 1) {
          for (int j = 0; j < row; j += filters)
            store(to + j + c, undo(load(y + j + c), load(dout + j + c)));
          continue;
        }
        each_window(side, i, [=](int j, auto height, auto width) {
          const int at = j * 2 * filters + c;
          const vec d = load(dout + j * filters + c), peak = load(peaks + j * filters + c);
          mask open = ~mask{};
          for (int q = 0; q < height * width; q++) {
            const vec value = load(y + at + q / width * row + q % width * filters);
            const mask chosen = open & (value == peak);  // the first of equal ones
            open &= ~chosen;
            store(to + at + q / width * pitch + q % width * filters,
                  undo(value, chosen ? d : vec{}));
          }
        });
      }
      y += b.pool * row, to += b.pool * pitch;
      dout += b.out_side * filters, peaks += b.out_side * filters;
    }
  }

  // The gradient of a block's input: each pixel collects from the outputs that saw it.
  void undo_convolution(int block, int image, const Space& of_dy, const Space& of_kernel, Space& to,
                        bool add = false) const {
    const Block& b = plan.blocks[block];
    const float *kernel = of_kernel.flipped[block].data(),
                *dy = of_dy.dy[block].data() + (size_t)image * b.dy_size;
    float* out = to.dout.data() + (size_t)image * plan.dout_size;
    const int panel = span(b.channels) * LANES;
    for (const Parity& p : b.parities) {
      const int rows = (int)p.taps.size() * b.filters;
      multiply(dy, p.at.data(), (int)p.at.size(), p.offsets, b.filters,
               {kernel, b.channels, panel, rows * panel}, out, p.out_at.data(), add);
      kernel += rows * b.channels;
    }
  }

  // Kernels in the order in which `undo_convolution` reads them: parities, panels of C, taps, O.
  void flip() const {
    for (size_t block = 1; block < plan.blocks.size(); block++) {
      const Block& b = plan.blocks[block];
      float* to = s.flipped[block].data();
      const int panel = span(b.channels) * LANES;
      for (const Parity& parity : b.parities) {
        const int rows = (int)parity.taps.size() * b.filters;
        for (size_t i = 0; i < parity.taps.size(); i++) {
          const int tap = parity.taps[i];
          if (tap % team.size != team.rank) continue;
          const float* from = phi + b.kernel_at + tap * b.channels * b.filters;
          for (int c = 0; c < b.channels; c += LANES)
            for (int o = 0; o < b.filters; o += LANES)
              transpose(from + c * b.filters + o, b.filters,
                        to + c / panel * rows * panel + (i * b.filters + o) * panel + c % panel,
                        panel);
        }
        to += rows * b.channels;
      }
    }
  }

  // This thread's rows of the gradient of the kernels, (9 C, O).
  void kernel_gradient(int block, const Space& of_x, const Space& of_dy, Space& to,
                       bool add = false) const {
    const Block& b = plan.blocks[block];
    const int from = b.gradient_tiles() * team.rank / team.size;
    const int end = b.gradient_tiles() * (team.rank + 1) / team.size;
    float* panels = scratch();
    for (int image = 0; image < plan.n; image += b.group) {
      const int positions = b.positions * std::min(b.group, plan.n - image);
      const int strips = pieces(positions, POSITIONS);
      for (int strip = 0; strip < strips; strip++) {
        const int p = start(strip, positions, strips),
                  now = start(strip + 1, positions, strips) - p;
        const float *x = of_x.x[block].data() + (size_t)image * b.padded_size,
                    *dy = of_dy.dy[block].data() + (size_t)image * b.dy_size;
        const int width = pack(dy, b.dy_at.data() + p, now, b.filters, panels);
        multiply_transposed(x, b.at.data() + p, now, b.entries,
                            {panels, b.filters, width, now * width}, from, end,
                            to.gradient.data() + b.kernel_at, add || image + strip);
      }
    }
  }

  // Copy some rows into panels as wide as a tile; return how wide.
  static int pack(const float* from, const int* at, int rows, int columns, float* to) {
    const int width = span(columns) * LANES;
    for (int column = 0; column < columns; column += width)
      for (int r = 0; r < rows; r++, to += width)
        for (int i = 0; i < width; i += LANES) store(to + i, load(from + at[r] + column + i));
    return width;
  }

  // An image's share of the first kernels' gradient. These are small: each image has its own, and
  // the gradient of the convolution is used up while it lies in the nearest cache.
  template <typename F>
  void first_gradient(int image, Space& to, F undo) const {
    const Block& b = plan.blocks[0];
    float *gradient = to.first_gradients.data() + (size_t)image * b.kernel_size(), *dy = scratch();
    for (int i = 0; i < b.out_side; i += b.strip) {
      const int end = std::min(i + b.strip, b.out_side), pitch = b.conv_side * b.filters;
      const int p = i * b.pool * b.conv_side;
      undo(i, end, dy, pitch);
      multiply_transposed(x_of(0, image), b.at.data() + p,
                          std::min(end * b.pool, b.conv_side) * b.conv_side - p, b.entries,
                          {dy, b.filters, b.filters, span(b.filters) * LANES}, 0,
                          b.gradient_tiles(), gradient, i);
    }
  }

  // Sum that over the images, from one number of the gradient to another.
  void join_first(int from, int end, Space& of) const {
    const int size = plan.blocks[0].kernel_size();
    for (int i = from; i < std::min(end, size); i++) {
      float sum = 0;
      for (int image = 0; image < plan.n; image++)
        sum += of.first_gradients[(size_t)image * size + i];
      of.gradient[i] = sum;
    }
  }
};
