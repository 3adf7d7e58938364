// Numbers of things in reserved memory: dealt, retired, and dealt again after a grace period.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::route {

class Pool {
  public:
    // Number 0 is never dealt.
    explicit Pool(std::size_t maximum) : maximum_(maximum) {}

    // 0: all are in use.
    std::uint32_t take() {
        if (!free_.empty()) {
            const std::uint32_t number = free_.back();
            free_.pop_back();
            ++used_;
            return number;
        }
        if (next_ >= maximum_)
            return 0;
        ++used_;
        return next_++;
    }
    void retire(std::uint32_t number) {
        retired_.push_back(number);
        --used_;
    }
    // What has been retired waits for a grace period from now on. False: nothing waits.
    bool gather() {
        waiting_.swap(retired_);
        return !waiting_.empty();
    }
    void give_back_waiting() {
        free_.insert(free_.end(), waiting_.begin(), waiting_.end());
        waiting_.clear();
    }

    std::size_t available() const { return maximum_ - next_ + free_.size(); }
    // Retired ones are not.
    std::size_t used() const { return used_; }
    std::uint32_t end() const { return next_; }

  private:
    std::size_t maximum_;
    std::size_t used_ = 0;
    std::uint32_t next_ = 1;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> retired_;
    std::vector<std::uint32_t> waiting_;
};

}  // namespace sluice::route
