// What the native step computes on one machine, compared with what it computed on another.
//
// For machines without Python, or emulated ones, see docs/speed.md: `native_numbers write FILE`
// takes a few steps and keeps the numbers, `native_numbers check FILE` takes them again and
// compares.

#include <cstdio>
#include <cstring>

#include "step.cpp"

static unsigned state = 1;

static Numbers drawn(size_t count, float low, float high) {  // the same on every machine
  Numbers made(count);
  for (float& x : made) {
    state = state * 1664525u + 1013904223u;
    x = low + (high - low) * (float)(state >> 8) / (float)(1 << 24);
  }
  return made;
}

struct Net {
  int n, channels, side, filters, stride, pool, ways;
};

// Three steps of Adam on two tasks, then a prediction: how far the weights moved, and the outputs.
static Numbers run(Net net, int threads) {
  Plan* plan = make_plan(net.n, net.channels, net.side, net.filters, 4, net.stride, net.pool,
                         net.ways, 1e-3f, 0, threads);
  const int tasks = 2, d = plan->size;
  state = 1;
  Numbers phi = drawn((size_t)tasks * d, -0.1f, 0.1f), m((size_t)tasks * d), v((size_t)tasks * d);
  const Numbers x = drawn((size_t)tasks * net.n * net.channels * net.side * net.side, 0, 1);
  const Numbers before = phi;
  std::vector<int64_t> y(tasks * net.n);
  for (size_t i = 0; i < y.size(); i++) y[i] = (int64_t)i % net.ways;
  const float* xs[3]{x.data(), x.data(), x.data()};
  const int64_t* ys[3]{y.data(), y.data(), y.data()};
  float losses[tasks];
  const Vectors vectors{phi.data(), m.data(), v.data()};
  const Optimizer adam{1, 1e-3f, 0, 0.999f, 1e-8f};
  const Tensors all{xs, ys, vectors, vectors, losses};
  if (!take_steps(plan, &adam, &all, tasks, 3, 1, 1)) std::abort();
  Numbers found((size_t)tasks * net.n * net.ways);
  predict(plan, x.data(), phi.data(), found.data(), tasks);
  found.insert(found.end(), losses, losses + tasks);
  for (size_t i = 0; i < phi.size(); i++) found.push_back(phi[i] - before[i]);
  drop_plan(plan);
  return found;
}

int main(int count, char** words) {
  if (count != 3) return std::puts("native_numbers write|check FILE"), 2;
  const bool writes = !std::strcmp(words[1], "write");
  std::FILE* file = std::fopen(words[2], writes ? "wb" : "rb");
  if (!file) return std::perror(words[2]), 2;
  int status = 0;
  for (Net net : {Net{10, 1, 28, 64, 2, 1, 5}, Net{4, 2, 19, 16, 2, 1, 3},
                  Net{6, 3, 42, 32, 1, 2, 5}, Net{3, 1, 21, 48, 1, 2, 2}}) {
    const Numbers found = run(net, 1);
    if (run(net, 3) != found) status = 1, std::puts("the number of threads changes the numbers");
    if (writes) {
      std::fwrite(found.data(), sizeof(float), found.size(), file);
      continue;
    }
    Numbers expected(found.size());
    if (std::fread(expected.data(), sizeof(float), found.size(), file) != found.size())
      return std::puts("the file is too short"), 2;
    double error = 0, size = 0;
    for (size_t i = 0; i < found.size(); i++) {
      error += std::pow((double)found[i] - expected[i], 2);
      size += std::pow((double)expected[i], 2);
    }
    std::printf("%d lanes, %d filters: relative difference %.1e\n", LANES, net.filters,
                std::sqrt(error / size));
    if (!(error <= 1e-6 * size)) status = 1;  // near 0 Adam's first steps have the gradient's sign
  }
  std::fclose(file);
  return status;
}
