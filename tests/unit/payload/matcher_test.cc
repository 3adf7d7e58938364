#include "dataplane/payload/matcher.h"

#include <gtest/gtest.h>

#include "tests/unit/payload/pattern_bed.h"

namespace sluice::payload {
namespace {

using contract::PatternMode;

constexpr Matcher::Capacity kCapacity{.readers = 2, .streams = 4, .stream_memory = 1 << 20};

TEST(Matcher, FindsTheFirstPatternAndAskedValues) {
    const auto objects = make_objects(
        {{.patterns = {{"evil", 7}, {"un.on", 9}, {"select", 7}}, .asked = {7, 9, 11}}}, kCapacity);
    const Matcher& matcher = *objects[0].matcher;
    const auto look = [&](std::string_view text) {
        return matcher.look(0, bytes_of(text), objects[0].asked);
    };
    EXPECT_FALSE(look("nothing").found());
    EXPECT_FALSE(look("").found());
    Finding finding = look("a union all");
    EXPECT_EQ(finding.pattern, 1u);
    EXPECT_EQ(finding.value, 9u);
    EXPECT_TRUE(finding.has_value(9, objects[0].asked));
    EXPECT_FALSE(finding.has_value(7, objects[0].asked));
    EXPECT_FALSE(finding.has_value(8, objects[0].asked)) << "nobody asks for it";
    finding = look("select union evil evil");
    EXPECT_EQ(finding.pattern, 0u);
    EXPECT_TRUE(finding.has_value(7, objects[0].asked));
    EXPECT_TRUE(finding.has_value(9, objects[0].asked));
    EXPECT_EQ(matcher.hits(0), 1u) << "once for each packet";
    EXPECT_EQ(matcher.hits(1), 2u);
    EXPECT_TRUE(matcher.look(1, bytes_of("evil"), {}).found());
    EXPECT_EQ(matcher.hits(0), 2u) << "of all readers";
}

TEST(Matcher, StreamsSeeAcrossPieces) {
    const auto objects =
        make_objects({{.patterns = {{"abcdef", 1}}, .mode = PatternMode::stream}}, kCapacity);
    const Matcher& matcher = *objects[0].matcher;
    hs_stream* stream = matcher.open_stream(0);
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(matcher.streams(), 1u);
    EXPECT_FALSE(matcher.look(0, stream, bytes_of("xxabc"), {}).found());
    EXPECT_TRUE(matcher.look(0, stream, bytes_of("defyy"), {}).found());
    EXPECT_TRUE(matcher.look(0, bytes_of("abcdef"), {}).found()) << "a packet by itself";
    matcher.close_stream(0, stream);
    EXPECT_EQ(matcher.streams(), 0u);
    std::vector<hs_stream*> streams;
    while (hs_stream* next = matcher.open_stream(0))
        streams.push_back(next);
    EXPECT_EQ(streams.size(), 5u) << "and one for packets by themselves";
    EXPECT_NE(matcher.open_stream(1), nullptr) << "each reader has its own";
    for (hs_stream* open : streams)
        matcher.close_stream(0, open);
    EXPECT_EQ(matcher.streams(), 1u);
}

TEST(Matcher, ObjectsWithoutPatternsFindNothing) {
    for (const PatternMode mode : {PatternMode::packet, PatternMode::stream}) {
        const auto objects = make_objects({{.patterns = {}, .mode = mode}}, kCapacity);
        EXPECT_FALSE(objects[0].matcher->look(0, bytes_of("anything"), {}).found());
        EXPECT_EQ(objects[0].matcher->open_stream(0), nullptr);
    }
}

TEST(Matcher, FitsWhatItIsMadeOf) {
    const ObjectSpec spec{.patterns = {{"evil", 7}}};
    const PatternImage image({spec});
    const auto& object = image.view().pattern_objects()[0];
    const auto matcher = Matcher::create(image.view(), object, kCapacity);
    ASSERT_TRUE(matcher);
    EXPECT_TRUE((*matcher)->fits(image.view(), object, 2));
    EXPECT_FALSE((*matcher)->fits(image.view(), object, 3));
    for (const ObjectSpec& other :
         {ObjectSpec{.patterns = {{"evil", 8}}}, ObjectSpec{.patterns = {{"good", 7}}},
          ObjectSpec{.patterns = {{"evil", 7}}, .mode = PatternMode::stream},
          ObjectSpec{.patterns = {}}}) {
        const PatternImage another({other});
        EXPECT_FALSE((*matcher)->fits(another.view(), another.view().pattern_objects()[0], 2));
    }
}

TEST(Matcher, DamagedDatabasesAreRefused) {
    contract::SnapshotParts parts;
    parts.pattern_objects.resize(1);
    contract::PatternObject& object = parts.pattern_objects[0];
    object = {};
    object.pattern_count = 1;
    object.name[0] = 'w';
    const std::string good = serialised({{"evil", 0}}, PatternMode::packet);
    object.database_size = good.size();
    std::size_t refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i) {
        parts.pattern_databases = good;
        parts.pattern_databases[i] ^= 0x40;
        contract::AlignedImage image(parts.image());
        const auto view = contract::SnapshotView::validate(image.bytes());
        ASSERT_TRUE(view);
        const auto matcher = Matcher::create(*view, view->pattern_objects()[0], kCapacity);
        if (!matcher) {
            EXPECT_EQ(
                matcher.error().message.find("the database of the pattern object w cannot be used"),
                0u)
                << matcher.error().message;
            ++refused;
        } else {  // a byte that nobody reads
            EXPECT_TRUE((*matcher)->look(0, bytes_of("an evil text"), {}).found());
            EXPECT_FALSE((*matcher)->look(0, bytes_of("another text"), {}).found());
        }
    }
    EXPECT_GT(refused, good.size() / 10 * 9);
}

}  // namespace
}  // namespace sluice::payload
