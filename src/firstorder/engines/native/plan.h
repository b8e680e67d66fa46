// Where everything lies: the shapes of a network's blocks, tables of offsets, and the space to work
// in.
//
// Images are (n, rows, columns, channels) with zeros around them, kernels (3, 3, C, O): what a row
// of a kernel sees lies in one piece.

#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "products.h"

template <typename T>
struct Aligned {  // to the lines of the caches: no vector lies across two
  typedef T value_type;
  static constexpr std::align_val_t line{64};
  Aligned() = default;
  template <typename U>
  Aligned(const Aligned<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
  void deallocate(T* p, size_t) { ::operator delete(p, line); }
  friend bool operator==(Aligned, Aligned) { return true; }
  friend bool operator!=(Aligned, Aligned) { return false; }
};
typedef std::vector<float, Aligned<float>> Numbers;

struct Parity {  // input pixels whose row and column have one remainder by the stride: the same
                 // taps see them
  std::vector<int> taps, offsets, at, out_at;
};

struct Block {  // 3x3 convolution with "same" padding, batch norm, max-pooling, ReLU
  int channels, filters, stride, pool, side;  // of the input
  int before, padded_side;                    // the input with zeros around it
  int pitch, padded_size;                     // numbers a row of that, and an image
  int conv_side, positions, out_side;         // of the convolution, and after pooling
  int dy_side, dy_size;                   // the gradient of the convolution, with zeros around it
  int group;                              // images whose kernel gradients are summed in one go
  int strip;                              // rows of outputs that are worked on in one go
  int kernel_at, gamma_at, beta_at;       // in phi
  std::vector<int> at, y_at, dy_at;       // of each position, in x, y and dy
  std::vector<int> kernel_rows, entries;  // a kernel's three rows, and 9 C entries, from there in x
  std::vector<Parity> parities;

  int kernel_size() const { return 9 * channels * filters; }
  int gradient_tiles() const { return pieces(9 * channels, most_rows(span(filters))); }
};

#ifndef OTHER_BARRIER  // benchmarks/threads.cpp has one that lets threads take turns
struct Barrier {       // for the threads of a team
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<unsigned> round{0};

  // Wait awake, as parts of a step take microseconds, less than it takes to be woken; but not for
  // long: on a busy machine the thread that is waited for may need this one's processor.
  void wait(int size) {
    const unsigned here = round.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      arrived.store(0, std::memory_order_relaxed);
      round.store(here + 1, std::memory_order_release);
      return;
    }
    for (int i = 0; round.load(std::memory_order_acquire) == here; i++)
      if (i < 500) pause();
      else std::this_thread::yield();
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
};
#endif

struct Space {  // what one team of threads writes to; the zeros around images stay zero
  std::vector<Numbers> x, y, peaks, dy, flipped, norm, sums, dsums;
  std::unique_ptr<Barrier> barrier = std::make_unique<Barrier>();
  Numbers dout, features, logits, losses, gradient, first_gradients, scratch;
};

struct Plan {
  int n, ways, threads, size, flat, head_at, bias_at, dout_size, scratch_size;
  float eps, smoothing;  // of batch norm; of labels
  std::vector<Block> blocks;
  std::vector<Space> spaces, tangents;  // those of Hessians only where they are asked for
};

static Block make_block(int channels, int filters, int stride, int pool, int side,
                        int& parameters) {
  Block b{};
  b.channels = channels, b.filters = filters, b.stride = stride, b.pool = pool, b.side = side;
  b.conv_side = (side + stride - 1) / stride, b.positions = b.conv_side * b.conv_side;
  b.out_side = (b.conv_side + pool - 1) / pool;
  const int padding = std::max((b.conv_side - 1) * stride + 3 - side, 0);
  b.before = padding / 2;  // an odd pixel of padding goes after, as TensorFlow's does
  b.padded_side = side + padding, b.pitch = b.padded_side * channels;
  // Where outputs see pixels a multiple of 512 bytes apart, a few of the first cache's sets would
  // have to hold them all: a line more in each row spreads the rows over others.
  if (stride * channels % 128 == 0) b.pitch += 16;
  b.padded_size = b.padded_side * b.pitch;
  const int reach = 2 / stride;  // rows of outputs, besides its own, that see a pixel
  b.dy_side = reach + std::max(b.conv_side, (b.before + side - 1) / stride + 1);
  b.dy_size = b.dy_side * b.dy_side * filters;
  b.group = std::max(1, 256 / b.positions), b.strip = std::max(1, POSITIONS / pool / b.conv_side);
  for (int image = 0; image < b.group; image++)
    for (int i = 0; i < b.conv_side; i++)
      for (int j = 0; j < b.conv_side; j++) {
        b.at.push_back(image * b.padded_size + (i * b.pitch + j * channels) * stride);
        if (image == 0) b.y_at.push_back((i * b.conv_side + j) * filters);
        b.dy_at.push_back(image * b.dy_size + ((i + reach) * b.dy_side + j + reach) * filters);
      }
  for (int i = 0; i < 3; i++) {
    b.kernel_rows.push_back(i * b.pitch);
    for (int k = 0; k < 3 * channels; k++) b.entries.push_back(i * b.pitch + k);
  }
  for (int a = 0; a < stride; a++)
    for (int c = 0; c < stride; c++) {
      Parity parity;
      for (int i = a; i < 3; i += stride)
        for (int j = c; j < 3; j += stride) {
          parity.taps.push_back(i * 3 + j);
          parity.offsets.push_back(-((i - a) / stride * b.dy_side + (j - c) / stride) * filters);
        }
      for (int i = b.before; i < b.before + side; i++)
        for (int j = b.before; j < b.before + side; j++)
          if (i % stride == a && j % stride == c) {
            parity.at.push_back(((i / stride + reach) * b.dy_side + j / stride + reach) * filters);
            parity.out_at.push_back(((i - b.before) * side + j - b.before) * channels);
          }
      b.parities.push_back(parity);
    }
  b.kernel_at = parameters, b.gamma_at = parameters + b.kernel_size();
  b.beta_at = b.gamma_at + filters, parameters = b.beta_at + filters;
  return b;
}

static Space make_space(const Plan& plan) {
  Space s;
  const auto zeros = [](size_t count) { return Numbers(count, 0.f); };
  for (const Block& b : plan.blocks) {
    const bool first = s.x.empty();
    s.x.push_back(zeros((size_t)plan.n * b.padded_size));
    s.y.push_back(zeros((size_t)plan.n * b.positions * b.filters));
    s.peaks.push_back(zeros(b.pool > 1 ? (size_t)plan.n * b.out_side * b.out_side * b.filters : 0));
    s.dy.push_back(zeros(first ? 0 : (size_t)plan.n * b.dy_size));
    s.flipped.push_back(zeros(first ? 0 : b.kernel_size()));
    s.norm.push_back(zeros((size_t)plan.threads * 6 * b.filters));
    s.sums.push_back(zeros((size_t)plan.n * 2 * b.filters));
    s.dsums.push_back(zeros((size_t)plan.n * 2 * b.filters));
  }
  s.dout = zeros((size_t)plan.n * plan.dout_size), s.features = zeros((size_t)plan.n * plan.flat);
  s.logits = zeros((size_t)plan.n * plan.ways), s.losses = zeros(plan.n),
  s.gradient = zeros(plan.size);
  s.first_gradients = zeros((size_t)plan.n * plan.blocks[0].kernel_size());
  s.scratch = zeros((size_t)plan.threads * plan.scratch_size);
  return s;
}
