// What is needed to give the contents of all tables to a data plane that was restarted.
//
// An image, which is the data plane's own answer when it was asked for everything, and the batches
// that took effect since. When those have grown as long as the image it is time for a new one: so
// memory is bounded by the contents, and the work by the changes.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "controlplane/ruleset/table_catalogue.h"
#include "controlplane/service/dataplane_link.h"

namespace sluice::service {

// The bytes of a batch (dataplane/contract/table.h).
std::vector<std::byte> batch_bytes(std::span<const contract::TableChange> changes,
                                   std::span<const contract::TableValue> values,
                                   std::span<const contract::TableDescriptor> descriptors);

class TableMirror {
  public:
    // Nothing is known of the contents any more.
    void forget();
    void remember(std::vector<std::byte> batch, std::size_t changes);

    // The image has all that was done.
    bool is_fresh() const { return complete_ && changes_ == 0; }
    std::size_t entries() const { return image_ ? image_->answer().entries.size() : 0; }
    // Calls `take` with each entry of the table, and the value that it has.
    void each_entry(std::uint32_t table,
                    const std::function<void(const contract::TableEntry&,
                                             const contract::TableValue&)>& take) const;

    bool wants_image(const ruleset::TableCatalogue& tables) const;
    // The question for it, a batch of one change for each table.
    std::vector<std::byte> question(const ruleset::TableCatalogue& tables);
    std::size_t question_size() const { return asked_.size(); }
    void take_image(TableReply reply);

    // A batch that makes all tables in a data plane that has none, and how many changes it has.
    // Those whose contents were not known in time are empty then.
    struct Restoration {
        std::vector<std::byte> batch;
        std::size_t changes = 0;
    };
    Restoration restoration(const ruleset::TableCatalogue& tables) const;

  private:
    std::vector<contract::TableDescriptor> asked_;
    std::vector<contract::TableDescriptor> image_tables_;
    std::optional<TableReply> image_;
    std::vector<std::vector<std::byte>> batches_;
    std::size_t changes_ = 0;
    bool complete_ = true;  // at first there is no table
};

}  // namespace sluice::service
