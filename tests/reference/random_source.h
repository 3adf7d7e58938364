// A small random generator of our own, so that a seed gives the same rules and packets everywhere
// (the distributions of <random> differ between libraries). SplitMix64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::reference {

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

    // 0 … n - 1. REQUIRES: n > 0.
    unsigned below(unsigned n) { return static_cast<unsigned>(next() % n); }
    unsigned between(unsigned first, unsigned last) { return first + below(last - first + 1); }
    bool one_in(unsigned n) { return below(n) == 0; }

    template <typename T>
    const T& pick(const std::vector<T>& from) {
        return from[below(static_cast<unsigned>(from.size()))];
    }

  private:
    std::uint64_t state_;
};

// What `prob` draws: the same for both engines, and with the ends of the range now and then.
inline std::uint32_t shared_draw(std::uint64_t seed, std::uint64_t sequence, std::uint64_t rule) {
    Random random(seed ^ sequence * 0x2545f4914f6cdd1du ^ (rule << 40));
    if (random.one_in(16))
        return 0;
    if (random.one_in(16))
        return 0x7fffffff;
    return static_cast<std::uint32_t>(random.next() & 0x7fffffff);
}

}  // namespace sluice::reference
