// The Hessian of a mini-batch's loss times a vector v: what the gradient changes by in the
// direction of v (Pearlmutter 1994). Each function is the derivative of the one of that name in
// forward.h and pass.h.
//
// Names are those of what is differentiated: in the space of this pass y is the change of y.

#pragma once
#include "pass.h"

struct Tangent {
  const Pass& p;  // at the point itself
  Space& s;
  const float* v;
  const Plan& plan = p.plan;

  float* of(std::vector<Numbers>& numbers, int block, int image, size_t size) const {
    return numbers[block].data() + (size_t)image * size;
  }
  float* y_of(int block, int image) const {
    const Block& b = plan.blocks[block];
    return of(s.y, block, image, (size_t)b.positions * b.filters);
  }
  float* peaks_of(int block, int image) const {
    const Block& b = plan.blocks[block];
    return b.pool == 1 ? y_of(block, image)
                       : of(s.peaks, block, image, (size_t)b.out_side * b.out_side * b.filters);
  }
  float* dout_of(int image) const { return s.dout.data() + (size_t)image * plan.dout_size; }
  float* features_of(int image) const { return s.features.data() + (size_t)image * plan.flat; }
  float* logits_of(int image) const { return s.logits.data() + (size_t)image * plan.ways; }
  float* norm_of(int block) const {
    return s.norm[block].data() + (size_t)p.team.rank * 6 * plan.blocks[block].filters;
  }

  // After p.forward: the product of the Hessian and v, in this space's gradient.
  void multiply_hessian(const int64_t* labels, float weight) const {
    const int blocks = (int)plan.blocks.size(), last = blocks - 1;
    Pass{plan, s, v, p.team}.flip();
    p.each_image(false, [&](int image) { convolve(0, image); });
    for (int block = 0; block < blocks; block++) {
      p.team.wait();
      summarise(block);
      p.each_image(block % 2 == 0, [&](int image) {
        activate(block, image);
        if (block < last) convolve(block + 1, image);
        else classify(image);
      });
    }
    p.each_image(last % 2 == 1, [&](int image) {
      p.differentiate(image, labels[image], weight), p.collect(last, image);
      differentiate(image, labels[image], weight), collect(last, image);
    });
    p.team.wait();
    head_gradient();
    for (int block = last; block > 0; block--) {
      p.average(block), average(block);
      p.each_image(block % 2 == 0, [&](int image) {
        const Block& b = plan.blocks[block];
        const int pitch = b.dy_side * b.filters;
        p.undo_norm(block, image, 0, b.out_side, p.dy_of(block, image) + b.dy_at[0], pitch);
        undo_norm(block, image, 0, b.out_side, of(s.dy, block, image, b.dy_size) + b.dy_at[0],
                  pitch);
        p.undo_convolution(block, image, p.s, p.s, p.s), p.collect(block - 1, image);
        p.undo_convolution(block, image, s, p.s, s);
        p.undo_convolution(block, image, p.s, s, s, true), collect(block - 1, image);
      });
      p.team.wait();
      p.kernel_gradient(block, p.s, s, s);
      p.kernel_gradient(block, s, p.s, s, true);
    }
    p.average(0), average(0);
    p.each_image(true, [&](int image) {
      p.first_gradient(image, s, [&](auto... rows) { undo_norm(0, image, rows...); });
    });
    p.team.wait();
  }

  // Convolve; sum over the image, and times what y differs from its mean. Images don't change.
  void convolve(int block, int image) const {
    const Block& b = plan.blocks[block];
    const int width = span(b.filters) * LANES;
    float *y = y_of(block, image), *sums = of(s.sums, block, image, 2 * b.filters);
    const auto add = [&](const float* x, const float* kernels, int from, int now, bool to_more) {
      multiply(x, b.at.data() + from, now, b.kernel_rows, 3 * b.channels,
               {kernels + b.kernel_at, b.filters, b.filters, width}, y + from * b.filters,
               b.y_at.data(), to_more);
    };
    const int strips = pieces(b.positions, POSITIONS);
    for (int i = 0; i < strips; i++) {
      const int from = start(i, b.positions, strips),
                now = start(i + 1, b.positions, strips) - from;
      add(p.x_of(block, image), v, from, now, false);
      if (block > 0) add(of(s.x, block, image, b.padded_size), p.phi, from, now, true);
    }
    const float *base = p.y_of(block, image), *norm = p.norm_of(block);
    for (int c = 0; c < b.filters; c += LANES) {
      const vec mean = load(norm + 2 * b.filters + c);
      vec total{}, moment{};
      for (int at = c; at < b.positions * b.filters; at += b.filters)
        total += load(y + at), moment += load(y + at) * (load(base + at) - mean);
      store(sums + c, total), store(sums + b.filters + c, moment);
    }
  }

  // How scale and shift of batch norm, about the mean, change: z changes by scale dy + slope (y -
  // mean) + shift. Beside them lie the change of the mean, the relative one of the deviation, and,
  // later, two coefficients of `average`.
  void summarise(int block) const {
    const Block& b = plan.blocks[block];
    const float *at_point = p.norm_of(block), count = (float)plan.n * b.positions;
    float* norm = norm_of(block);
    for (int c = 0; c < b.filters; c += LANES) {
      const float* sums = s.sums[block].data() + c;
      vec mean{}, moment{};
      for (int i = 0; i < plan.n; i++, sums += 2 * b.filters)
        mean += load(sums), moment += load(sums + b.filters);
      const vec scale = load(at_point + c), inverse = load(at_point + 3 * b.filters + c);
      mean /= count;
      const vec deviation = moment / count * inverse * inverse;
      store(norm + c, load(v + b.gamma_at + c) * inverse - scale * deviation);
      store(norm + b.filters + c, load(v + b.beta_at + c) - scale * mean);
      store(norm + 2 * b.filters + c, mean), store(norm + 3 * b.filters + c, deviation);
    }
  }

  void activate(int block, int image) const {
    const Block& b = plan.blocks[block];
    const bool is_last = block + 1 == (int)plan.blocks.size();
    const int pitch = is_last ? b.out_side * b.filters : plan.blocks[block + 1].pitch;
    float* to = features_of(image);
    if (!is_last) {
      const Block& next = plan.blocks[block + 1];
      to = of(s.x, block + 1, image, next.padded_size) + next.before * (pitch + b.filters);
    }
    const int filters = b.filters, side = b.conv_side, row = side * filters;
    const float *y = p.y_of(block, image), *dy = y_of(block, image), *norm = p.norm_of(block),
                *change = norm_of(block), *peaks = p.peaks_of(block, image);
    float* peak_to = peaks_of(block, image);
    for (int i = 0; i < b.out_side; i++, y += b.pool * row, dy += b.pool * row, to += pitch,
             peaks += b.out_side * filters, peak_to += b.out_side * filters)
      for (int c = 0; c < filters; c += LANES) {
        const vec scale = load(norm + c), shift = load(norm + filters + c);
        const vec mean = load(norm + 2 * filters + c);
        const vec slope = load(change + c), more = load(change + filters + c);
        const auto rectified = [=](vec value, vec d) {
          const vec dz = scale * d + slope * (value - mean) + more;
          return value * scale + shift > vec{} ? dz : vec{};
        };
        if (b.pool == 1) {
          for (int j = c; j < row; j += filters)
            store(to + j, rectified(load(y + j), load(dy + j)));
          continue;
        }
        p.each_window(side, i, [=](int j, auto height, auto width) {
          const int at = j * 2 * filters + c;
          const vec peak = load(peaks + j * filters + c);
          vec d{};
          for (int q = height * width - 1; q >= 0; q--) {  // the first of equal ones
            const int pixel = at + q / width * row + q % width * filters;
            d = load(y + pixel) == peak ? load(dy + pixel) : d;
          }
          store(to + j * filters + c, rectified(peak, d)), store(peak_to + j * filters + c, d);
        });
      }
  }

  void classify(int image) const {
    const float *features = p.features_of(image), *changes = features_of(image);
    for (int w = 0; w < plan.ways; w++) {
      const int at = plan.head_at + w * plan.flat;
      vec sum{};
      for (int f = 0; f < plan.flat; f += LANES)
        sum += load(changes + f) * load(p.phi + at + f) + load(features + f) * load(v + at + f);
      float total = v[plan.bias_at + w];
      for (int l = 0; l < LANES; l++) total += sum[l];
      logits_of(image)[w] = total;
    }
  }

  // After p.differentiate, which left weight (probability - target) in its logits.
  void differentiate(int image, int64_t label, float weight) const {
    float *logits = logits_of(image), *dout = dout_of(image), mean = 0;
    const float* gradient = p.logits_of(image);
    const auto probability = [=](int w) { return gradient[w] / weight + p.target(w, label); };
    for (int w = 0; w < plan.ways; w++) mean += probability(w) * logits[w];
    for (int w = 0; w < plan.ways; w++) logits[w] = weight * probability(w) * (logits[w] - mean);
    for (int f = 0; f < plan.flat; f += LANES) {
      vec sum{};
      for (int w = 0; w < plan.ways; w++) {
        const int at = plan.head_at + w * plan.flat + f;
        sum += logits[w] * load(p.phi + at) + gradient[w] * load(v + at);
      }
      store(dout + f, sum);
    }
  }

  void head_gradient() const {
    for (int w = p.team.rank; w < plan.ways; w += p.team.size) {
      float bias = 0, *to = s.gradient.data() + plan.head_at + w * plan.flat;
      for (int i = 0; i < plan.n; i++) bias += logits_of(i)[w];
      s.gradient[plan.bias_at + w] = bias;
      for (int f = 0; f < plan.flat; f += LANES) {
        vec sum{};
        for (int i = 0; i < plan.n; i++)
          sum += logits_of(i)[w] * load(p.features_of(i) + f) +
                 p.logits_of(i)[w] * load(features_of(i) + f);
        store(to + f, sum);
      }
    }
  }

  // After p.collect, which let the gradient itself through.
  void collect(int block, int image) const {
    const Block& b = plan.blocks[block];
    const float *norm = p.norm_of(block), *peaks = p.peaks_of(block, image),
                *dpeaks = peaks_of(block, image), *gradient = p.dout_of(image);
    float *sums = of(s.dsums, block, image, 2 * b.filters), *dout = dout_of(image);
    for (int c = 0; c < b.filters; c += LANES) {
      const vec scale = load(norm + c), shift = load(norm + b.filters + c);
      const vec mean = load(norm + 2 * b.filters + c);
      vec total{}, moment{};
      for (int at = c; at < b.out_side * b.out_side * b.filters; at += b.filters) {
        const vec value = load(peaks + at);
        const vec d = value * scale + shift > vec{} ? load(dout + at) : vec{};
        store(dout + at, d);
        total += d, moment += d * (value - mean) + load(gradient + at) * load(dpeaks + at);
      }
      store(sums + c, total);
      store(sums + b.filters + c, moment * load(norm + 3 * b.filters + c));
    }
  }

  // After p.average: the changes of the gradients of beta and gamma, and two coefficients of
  // `undo_norm`.
  void average(int block) const {
    const Block& b = plan.blocks[block];
    const float* at_point = p.norm_of(block);
    float *norm = norm_of(block), *gradient = s.gradient.data();
    for (int c = 0; c < b.filters; c += LANES) {
      const float *sums = s.dsums[block].data() + c, *of_point = p.s.dsums[block].data() + c;
      vec total{}, moment{}, beta{}, gamma{};
      for (int i = 0; i < plan.n; i++, sums += 2 * b.filters, of_point += 2 * b.filters) {
        total += load(sums), moment += load(sums + b.filters);
        beta += load(of_point), gamma += load(of_point + b.filters);
      }
      const vec scale = load(at_point + c), inverse = load(at_point + 3 * b.filters + c);
      const vec slope = load(norm + c), mean = load(norm + 2 * b.filters + c),
                deviation = load(norm + 3 * b.filters + c);
      moment -= inverse * mean * beta + deviation * gamma;
      const float share = -1 / ((float)plan.n * b.positions);
      store(norm + 4 * b.filters + c, share * (slope * beta + scale * total));
      store(norm + 5 * b.filters + c,
            share * inverse * (slope * gamma + scale * (moment - deviation * gamma)));
      if (p.team.rank == 0)
        store(gradient + b.beta_at + c, total), store(gradient + b.gamma_at + c, moment);
    }
  }

  void undo_norm(int block, int image, int from, int end, float* to, int pitch) const {
    const Block& b = plan.blocks[block];
    const int filters = b.filters, side = b.conv_side, row = side * filters;
    const size_t pooled = (size_t)from * b.out_side * filters, whole = (size_t)from * b.pool * row;
    const float *norm = p.norm_of(block), *change = norm_of(block);
    const float *gradient = p.dout_of(image) + pooled, *dout = dout_of(image) + pooled;
    const float *peaks = p.peaks_of(block, image) + pooled, *y = p.y_of(block, image) + whole,
                *dy = y_of(block, image) + whole;
    for (int i = from; i < end; i++) {
      for (int c = 0; c < filters; c += LANES) {
        const vec scale = load(norm + c), mean = load(norm + 2 * filters + c);
        const vec of_change = load(norm + 5 * filters + c);
        const vec slope = load(change + c), mean_change = load(change + 2 * filters + c);
        const vec shift = load(change + 4 * filters + c), of_value = load(change + 5 * filters + c);
        const auto undo = [=](vec value, vec d, vec g, vec dz) {
          return scale * dz + slope * g + shift + of_value * (value - mean) +
                 of_change * (d - mean_change);
        };
        if (b.pool == 1) {
          for (int j = c; j < row; j += filters)
            store(to + j, undo(load(y + j), load(dy + j), load(gradient + j), load(dout + j)));
          continue;
        }
        p.each_window(side, i, [=](int j, auto height, auto width) {
          const int at = j * 2 * filters + c, window = j * filters + c;
          const vec g = load(gradient + window), d = load(dout + window),
                    peak = load(peaks + window);
          mask open = ~mask{};
          for (int q = 0; q < height * width; q++) {
            const int pixel = at + q / width * row + q % width * filters;
            const vec value = load(y + pixel);
            const mask chosen = open & (value == peak);  // the first of equal ones
            open &= ~chosen;
            store(to + at + q / width * pitch + q % width * filters,
                  undo(value, load(dy + pixel), chosen ? g : vec{}, chosen ? d : vec{}));
          }
        });
      }
      y += b.pool * row, dy += b.pool * row, to += b.pool * pitch;
      gradient += b.out_side * filters, dout += b.out_side * filters;
      peaks += b.out_side * filters;
    }
  }
};
