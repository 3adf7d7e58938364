#include "tests/unit/payload/pattern_bed.h"

#include <gtest/gtest.h>
#include <hs/hs.h>

#include <functional>

namespace sluice::payload {

std::string serialised(const std::vector<PatternSpec>& patterns, contract::PatternMode mode) {
    std::vector<const char*> expressions;
    std::vector<unsigned> flags, ids;
    for (const PatternSpec& pattern : patterns) {
        ids.push_back(static_cast<unsigned>(expressions.size()));
        expressions.push_back(pattern.expression.c_str());
        flags.push_back(HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL);
    }
    hs_platform_info_t platform{};
    hs_database_t* database = nullptr;
    hs_compile_error_t* error = nullptr;
    const bool stream = mode == contract::PatternMode::stream;
    if (hs_compile_multi(expressions.data(), flags.data(), ids.data(),
                         static_cast<unsigned>(ids.size()), stream ? HS_MODE_STREAM : HS_MODE_BLOCK,
                         &platform, &database, &error) != HS_SUCCESS) {
        ADD_FAILURE() << error->message;
        std::abort();
    }
    char* bytes = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(hs_serialize_database(database, &bytes, &size), HS_SUCCESS);
    std::string result(bytes, size);
    std::free(bytes);
    hs_free_database(database);
    return result;
}

void add_objects(const std::vector<ObjectSpec>& objects, contract::SnapshotParts& parts) {
    parts.pattern_objects.clear();
    parts.patterns.clear();
    parts.pattern_text.clear();
    for (const ObjectSpec& spec : objects) {
        contract::PatternObject object;
        object.type = spec.type;
        object.mode = spec.mode;
        object.direction = spec.direction;
        object.depth = spec.depth;
        object.first_pattern = static_cast<std::uint32_t>(parts.patterns.size());
        object.pattern_count = static_cast<std::uint32_t>(spec.patterns.size());
        spec.name.copy(object.name, sizeof object.name - 1);
        for (const PatternSpec& pattern : spec.patterns) {
            parts.patterns.push_back(
                {.value = pattern.value,
                 .text_offset = static_cast<std::uint32_t>(parts.pattern_text.size()),
                 .text_length = static_cast<std::uint32_t>(pattern.expression.size())});
            parts.pattern_text += pattern.expression;
        }
        if (spec.type == contract::PatternType::bytes && !spec.patterns.empty()) {
            const std::string database = serialised(spec.patterns, spec.mode);
            parts.pattern_databases.resize(
                (parts.pattern_databases.size() + contract::kSectionAlignment - 1) /
                contract::kSectionAlignment * contract::kSectionAlignment);
            object.content = std::hash<std::string>()(database);
            object.database_offset = parts.pattern_databases.size();
            object.database_size = database.size();
            parts.pattern_databases += database;
        }
        parts.pattern_objects.push_back(object);
    }
}

PatternImage::PatternImage(const std::vector<ObjectSpec>& objects) {
    contract::SnapshotParts parts;
    add_objects(objects, parts);
    image_ = std::make_unique<contract::AlignedImage>(parts.image());
    const auto view = contract::SnapshotView::validate(image_->bytes());
    if (!view) {
        ADD_FAILURE() << view.error().message;
        std::abort();
    }
    view_ = *view;
}

std::vector<Object> make_objects(const std::vector<ObjectSpec>& specs,
                                 const Matcher::Capacity& capacity) {
    const PatternImage image(specs);
    std::vector<Object> objects;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        auto matcher = Matcher::create(image.view(), image.view().pattern_objects()[i], capacity);
        if (!matcher) {
            ADD_FAILURE() << matcher.error().message;
            std::abort();
        }
        objects.push_back({.matcher = *matcher,
                           .mode = specs[i].mode,
                           .direction = specs[i].direction,
                           .depth = specs[i].depth,
                           .identity = std::hash<std::string>()(specs[i].name),
                           .asked = specs[i].asked,
                           .asked_identity = specs[i].asked.size()});
    }
    return objects;
}

}  // namespace sluice::payload
