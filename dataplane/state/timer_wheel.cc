#include "dataplane/state/timer_wheel.h"

#include <algorithm>

namespace sluice::state {

void TimerWheel::hang(CellIndex cell, std::uint32_t second) {
    const std::uint32_t due = std::clamp(second, current_, current_ + kReach);
    store(cells_[cell].due_s, due);
    CellIndex& first = head(due);
    cold_[cell].next = first;
    cold_[cell].previous = kNoCell;
    if (first != kNoCell)
        cold_[first].previous = cell;
    first = cell;
}

void TimerWheel::unhang(CellIndex cell) {
    const ColdCell& links = cold_[cell];
    if (links.previous != kNoCell)
        cold_[links.previous].next = links.next;
    else
        head(cells_[cell].due_s) = links.next;
    if (links.next != kNoCell)
        cold_[links.next].previous = links.previous;
}

CellIndex TimerWheel::next_due(std::uint32_t now_s, unsigned& steps) {
    for (;;) {
        if (const CellIndex cell = head(current_); cell != kNoCell && current_ <= now_s)
            return cell;
        if (current_ >= now_s || steps == 0)
            return kNoCell;
        --steps;
        ++current_;
    }
}

}  // namespace sluice::state
