// When to look at which state again: one list of cells for each of the next 1,024 seconds.
//
// A state hangs in the list of a second not later than its end. A packet that prolongs it does not
// move it: when its second comes it is hung anew. So a refresh costs nothing here, and each state
// is looked at a few times in its life.
//
// Threads: the worker alone. Links are kept in the cold cells.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/state/cell.h"

namespace sluice::state {

class TimerWheel {
  public:
    static constexpr std::uint32_t kSeconds = 1024;
    // The furthest second at which a cell can be hung, from now.
    static constexpr std::uint32_t kReach = kSeconds - 2;

    // `cells` and `cold` outlive the wheel.
    TimerWheel(std::span<Cell> cells, std::span<ColdCell> cold) : cells_(cells), cold_(cold) {
        heads_.fill(kNoCell);
    }

    // Hangs the cell at `second`, or as near to it as the wheel reaches, and notes that in due_s.
    // REQUIRES: it hangs nowhere.
    void hang(CellIndex cell, std::uint32_t second);
    void unhang(CellIndex cell);

    // A cell whose second, `current()`, has come, or kNoCell. The caller hangs it elsewhere or
    // takes it away. `steps` is how many seconds the call may step over; it is lowered.
    CellIndex next_due(std::uint32_t now_s, unsigned& steps);

    // All seconds before this one are done.
    std::uint32_t current() const { return current_; }
    // REQUIRES: nothing hangs.
    void begin(std::uint32_t second) { current_ = second; }

  private:
    CellIndex& head(std::uint32_t second) { return heads_[second % kSeconds]; }

    std::span<Cell> cells_;
    std::span<ColdCell> cold_;
    std::array<CellIndex, kSeconds> heads_;
    std::uint32_t current_ = 0;
};

}  // namespace sluice::state
