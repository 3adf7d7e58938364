#include "controlplane/metrics/view.h"

#include <utility>

namespace sluice::metrics {

struct Board::Lease::Kept {
    std::unique_ptr<const View> view;
    unsigned readers = 0;
};

Board::Lease::~Lease() {
    if (board_ == nullptr)
        return;
    const std::lock_guard lock(board_->mutex_);
    --kept_->readers;
}

const View* Board::Lease::view() const {
    return kept_->view.get();
}

Board::Board() = default;
Board::~Board() = default;

void Board::publish(std::unique_ptr<const View> view) {
    std::list<Lease::Kept> old;  // destroyed behind the lock
    const std::lock_guard lock(mutex_);
    for (auto at = kept_.begin(); at != kept_.end();) {
        const auto next = std::next(at);
        if (at->readers == 0)
            old.splice(old.end(), kept_, at);
        at = next;
    }
    kept_.push_back({.view = std::move(view)});
}

std::optional<Board::Lease> Board::look() {
    const std::lock_guard lock(mutex_);
    if (kept_.empty())
        return std::nullopt;
    ++kept_.back().readers;
    return Lease(*this, kept_.back());
}

}  // namespace sluice::metrics
