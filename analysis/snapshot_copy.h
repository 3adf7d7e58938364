// A snapshot in memory of its own, aligned as it has to be, and validated.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/snapshot_view.h"

namespace sluice::analysis {

class SnapshotCopy {
  public:
    static Result<SnapshotCopy> validate(std::span<const std::byte> image) {
        SnapshotCopy copy;
        copy.lines_.resize((image.size() + sizeof(Line) - 1) / sizeof(Line));
        std::memcpy(copy.lines_.data(), image.data(), image.size());
        auto view = contract::SnapshotView::validate(
            std::as_bytes(std::span(copy.lines_)).first(image.size()));
        if (!view)
            return view.error();
        copy.view_ = *view;
        return copy;
    }

    const contract::SnapshotView& view() const { return view_; }

  private:
    struct alignas(contract::kSectionAlignment) Line {
        std::byte bytes[contract::kSectionAlignment];
    };
    std::vector<Line> lines_;  // moving it leaves the bytes where they are
    contract::SnapshotView view_;
};

}  // namespace sluice::analysis
