// How long a step would take on 1 to 16 threads, on a machine that has fewer processors.
//
// The threads of a team take turns: between two barriers one after the other does its part, and the
// longest part is counted, with a microsecond or two for the barrier itself. They share one
// processor's caches here, of which each would have its own.
//
// g++ -O3 -std=c++17 -march=native -fno-math-errno -fno-trapping-math -pthread
//   -Isrc/firstorder/engines/native benchmarks/threads.cpp -o /tmp/threads && /tmp/threads

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

static thread_local int my_rank = 0;

#define OTHER_BARRIER
struct Barrier {
  typedef std::chrono::steady_clock Clock;
  std::mutex lock;
  std::condition_variable passed;
  int turn = 0, barriers = 0;
  double longest = 0, total = 0;  // microseconds
  Clock::time_point begun = Clock::now();

  void start() {
    std::unique_lock<std::mutex> held(lock);
    passed.wait(held, [&] { return turn == my_rank; });
    begun = Clock::now();
  }
  void wait(int size) {
    std::unique_lock<std::mutex> held(lock);
    const double taken = std::chrono::duration<double, std::micro>(Clock::now() - begun).count();
    longest = std::max(longest, taken);
    if (my_rank == size - 1) total += longest, longest = 0, barriers++;
    turn = (turn + 1) % size;
    passed.notify_all();
    passed.wait(held, [&] { return turn == my_rank; });
    begun = Clock::now();
  }
  void leave(int size) {
    std::unique_lock<std::mutex> held(lock);
    turn = (turn + 1) % size;
    passed.notify_all();
  }
};

#include "step.cpp"

// The step of one task by a team: microseconds of the longest parts, and how many barriers.
static std::pair<double, int> run(int n, int channels, int side, int filters, int stride, int pool,
                                  int ways, int size) {
  Plan* plan = make_plan(n, channels, side, filters, 4, stride, pool, ways, 1e-3f, 0, size);
  plan->spaces.push_back(make_space(*plan));
  Space& space = plan->spaces[0];
  Numbers phi(plan->size), x((size_t)n * channels * side * side), made(plan->size);
  for (size_t i = 0; i < phi.size(); i++) phi[i] = 0.05f * (float)((i * 7919) % 13 - 6.0);
  for (size_t i = 0; i < x.size(); i++) x[i] = (float)((i * 104729) % 17) / 17;
  std::vector<int64_t> y(n);
  for (int i = 0; i < n; i++) y[i] = i % ways;
  std::vector<double> found;
  int barriers = 0;
  for (int repeat = 0; repeat < 30; repeat++) {
    Barrier& barrier = *space.barrier;
    barrier.turn = barrier.barriers = 0, barrier.longest = barrier.total = 0;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; rank++)
      threads.emplace_back([&, rank] {
        my_rank = rank;
        const Pass pass{*plan, space, phi.data(), {rank, size, &barrier}};
        const int d = plan->size, from = d * rank / size, end = d * (rank + 1) / size;
        barrier.start();
        pass.flip(), pass.forward(x.data()), pass.backward(y.data(), 1.f);
        pass.join_first(from, end, space);
        update({0, 0.f, 0, 0, 0}, {phi.data(), nullptr, nullptr}, {made.data(), nullptr, nullptr},
               space.gradient.data(), 1, from, end);
        barrier.wait(size), barrier.leave(size);
      });
    for (std::thread& thread : threads) thread.join();
    found.push_back(barrier.total), barriers = barrier.barriers;
  }
  drop_plan(plan);
  std::sort(found.begin(), found.end());
  return {found[found.size() / 4], barriers};
}

int main() {
  std::printf("threads  omniglot  omniglot20  miniimagenet   (ms a step, 2 us a barrier)\n");
  for (int size : {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16}) {
    std::printf("%7d", size);
    for (auto [time, barriers] :
         {run(10, 1, 28, 64, 2, 1, 5, size), run(20, 1, 28, 64, 2, 1, 20, size),
          run(10, 3, 84, 32, 1, 2, 5, size)})
      std::printf("  %8.3f", (time + (size > 1 ? 2 * barriers : 0)) / 1000);
    std::printf("\n");
  }
}
