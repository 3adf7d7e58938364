#include "controlplane/service/table_mirror.h"

#include <cstring>
#include <utility>

namespace sluice::service {
namespace {

using contract::TableChange;
using contract::TableDescriptor;
using contract::TableValue;
using contract::TableVerb;

// So many changes are remembered before a new image is asked for, however small the tables are.
constexpr std::size_t kPatience = 4096;

template <typename T>
void append(std::vector<std::byte>& bytes, std::span<const T> elements) {
    const auto raw = std::as_bytes(elements);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

// A batch that is being put together.
struct Parts {
    std::vector<TableChange> changes;
    std::vector<TableValue> values;
    std::vector<TableDescriptor> descriptors;

    void create(const TableDescriptor& table) {
        descriptors.push_back(table);
        changes.push_back({.verb = TableVerb::create,
                           .table = table.id,
                           .argument = static_cast<std::uint32_t>(descriptors.size() - 1),
                           .key = {}});
    }

    void add(const TableAnswer& image, const contract::TableResult& result, std::uint32_t table,
             std::uint32_t first_value) {
        for (std::size_t i = 0; i < result.entries; ++i) {
            const contract::TableEntry& entry = image.entries[result.first + i];
            changes.push_back({.verb = TableVerb::add,
                               .flags = contract::table_change_flag::update,
                               .table = table,
                               .argument = first_value + entry.value,
                               .ttl_s = entry.expires_s,
                               .key = entry.key});
        }
    }

    // What an earlier batch did; its indexes count from the parts that are there already.
    void append_batch(std::span<const std::byte> batch) {
        contract::TableBatchHeader header;
        std::memcpy(&header, batch.data(), sizeof header);
        const std::byte* at = batch.data() + sizeof header;
        const auto take = [&]<typename T>(std::vector<T>& list, std::uint32_t count) {
            const std::size_t before = list.size();
            list.resize(before + count);
            if (count != 0)
                std::memcpy(list.data() + before, at, count * sizeof(T));
            at += count * sizeof(T);
        };
        const std::size_t first = changes.size();
        const auto first_value = static_cast<std::uint32_t>(values.size());
        const auto first_descriptor = static_cast<std::uint32_t>(descriptors.size());
        take(changes, header.change_count);
        take(values, header.value_count);
        take(descriptors, header.descriptor_count);
        for (std::size_t i = first; i < changes.size(); ++i) {
            if (changes[i].verb == TableVerb::add)
                changes[i].argument += first_value;
            else if (changes[i].verb == TableVerb::create || changes[i].verb == TableVerb::modify)
                changes[i].argument += first_descriptor;
        }
    }
};

}  // namespace

std::vector<std::byte> batch_bytes(std::span<const TableChange> changes,
                                   std::span<const TableValue> values,
                                   std::span<const TableDescriptor> descriptors) {
    contract::TableBatchHeader header;
    header.change_count = static_cast<std::uint32_t>(changes.size());
    header.value_count = static_cast<std::uint32_t>(values.size());
    header.descriptor_count = static_cast<std::uint32_t>(descriptors.size());
    std::vector<std::byte> bytes;
    bytes.reserve(sizeof header + changes.size_bytes() + values.size_bytes() +
                  descriptors.size_bytes());
    append(bytes, std::span<const contract::TableBatchHeader>(&header, 1));
    append(bytes, changes);
    append(bytes, values);
    append(bytes, descriptors);
    return bytes;
}

void TableMirror::forget() {
    image_.reset();
    image_tables_.clear();
    batches_.clear();
    changes_ = 0;
    complete_ = false;
}

void TableMirror::remember(std::vector<std::byte> batch, std::size_t changes) {
    batches_.push_back(std::move(batch));
    changes_ += changes;
}

bool TableMirror::wants_image(const ruleset::TableCatalogue& tables) const {
    if (!complete_)
        return !tables.all().empty();
    return changes_ > kPatience + (image_ ? image_->answer().entries.size() : 0);
}

std::vector<std::byte> TableMirror::question(const ruleset::TableCatalogue& tables) {
    asked_ = tables.all();
    std::vector<TableChange> changes;
    for (const TableDescriptor& table : asked_)
        changes.push_back({.verb = TableVerb::list, .table = table.id, .key = {}});
    return batch_bytes(changes, {}, {});
}

void TableMirror::take_image(TableReply reply) {
    image_ = std::move(reply);
    image_tables_ = std::exchange(asked_, {});
    complete_ = true;
    batches_.clear();
    changes_ = 0;
}

void TableMirror::each_entry(
    std::uint32_t table,
    const std::function<void(const contract::TableEntry&, const TableValue&)>& take) const {
    if (!image_)
        return;
    const TableAnswer image = image_->answer();
    for (std::size_t i = 0; i < image_tables_.size(); ++i) {
        if (image_tables_[i].id != table)
            continue;
        const contract::TableResult& result = image.results[i];
        for (std::size_t entry = result.first; entry < result.first + result.entries; ++entry)
            take(image.entries[entry], image.values[image.entries[entry].value]);
    }
}

TableMirror::Restoration TableMirror::restoration(const ruleset::TableCatalogue& tables) const {
    Parts parts;
    if (!complete_)
        for (const TableDescriptor& table : tables.all())
            parts.create(table);
    if (image_) {
        const TableAnswer image = image_->answer();
        parts.values.assign(image.values.begin(), image.values.end());
        for (std::size_t i = 0; i < image_tables_.size(); ++i) {
            parts.create(image_tables_[i]);
            parts.add(image, image.results[i], image_tables_[i].id, 0);
        }
    }
    for (const std::vector<std::byte>& batch : batches_)
        parts.append_batch(batch);
    return {batch_bytes(parts.changes, parts.values, parts.descriptors), parts.changes.size()};
}

}  // namespace sluice::service
