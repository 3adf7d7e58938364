// How many packets may be sent: `rate` a second on average, `burst` at once after a pause.
//
// Counts in thousandths of a token, so that a millisecond at any rate adds a whole number. A clock
// that goes back adds nothing. Owned by one thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::forward {

class TokenBucket {
  public:
    // A rate of 0 never gives a token.
    TokenBucket(std::uint64_t rate, std::uint64_t burst)
        : rate_(rate), capacity_(rate == 0 ? 0 : burst * kToken), level_(capacity_) {}

    bool take(std::uint64_t now_ms) {
        if (now_ms > last_ms_) {
            // An hour fills any bucket; more could overflow.
            const std::uint64_t elapsed_ms = std::min<std::uint64_t>(now_ms - last_ms_, 3'600'000);
            level_ = std::min(capacity_, level_ + elapsed_ms * rate_);
        }
        last_ms_ = now_ms;
        if (level_ < kToken)
            return false;
        level_ -= kToken;
        return true;
    }

  private:
    static constexpr std::uint64_t kToken = 1000;

    std::uint64_t rate_;  // tokens per second, which are thousandths per millisecond
    std::uint64_t capacity_;
    std::uint64_t level_;
    std::uint64_t last_ms_ = 0;
};

}  // namespace sluice::forward
