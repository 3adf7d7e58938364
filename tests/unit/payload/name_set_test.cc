#include "dataplane/payload/name_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/reference/random_source.h"

namespace sluice::payload {
namespace {

using Indices = std::vector<std::uint32_t>;

NameSet set_of(const std::vector<std::string>& entries) {
    const std::vector<std::string_view> views(entries.begin(), entries.end());
    return NameSet(views);
}

Indices matches(const NameSet& set, std::string_view name) {
    Indices indices;
    set.each_match(name, [&](std::uint32_t index) { indices.push_back(index); });
    std::sort(indices.begin(), indices.end());
    return indices;
}

TEST(NameSet, DomainsAndSingleNames) {
    const NameSet set = set_of({"example.com", "=example.com", "=www.example.com", "com", "www"});
    EXPECT_EQ(matches(set, "example.com"), (Indices{0, 1, 3}));
    EXPECT_EQ(matches(set, "www.example.com"), (Indices{0, 2, 3}));
    EXPECT_EQ(matches(set, "a.www.example.com"), (Indices{0, 3}));
    EXPECT_EQ(matches(set, "badexample.com"), (Indices{3}));
    EXPECT_EQ(matches(set, "www"), (Indices{4}));
    EXPECT_EQ(matches(set, "example.org"), Indices{});
    EXPECT_EQ(matches(set, ""), Indices{});
}

TEST(NameSet, EmptyOneHasNoMatch) {
    EXPECT_EQ(matches(NameSet(), "example.com"), Indices{});
    EXPECT_EQ(matches(set_of({}), "example.com"), Indices{});
}

TEST(NameSet, OfEqualOnesTheFirst) {
    EXPECT_EQ(matches(set_of({"a", "b", "a"}), "a"), Indices{0});
}

TEST(NameSet, LongNamesBelongToTheirDomains) {
    const std::string name = std::string(1000, 'a') + ".evil.com";
    EXPECT_EQ(matches(set_of({"evil.com"}), name), Indices{0});
    EXPECT_EQ(matches(set_of({"com"}), std::string(1000, '.') + "com"), Indices{0});
}

// What the texts of entries mean, word by word.
Indices model(const std::vector<std::string>& entries, const std::string& name) {
    Indices indices;
    for (std::uint32_t i = 0; i < entries.size(); ++i) {
        const std::string& entry = entries[i];
        if (std::find(entries.begin(), entries.begin() + i, entry) != entries.begin() + i)
            continue;
        if (entry[0] == '=' ? name == entry.substr(1)
                            : name == entry || name.ends_with("." + entry))
            indices.push_back(i);
    }
    return indices;
}

std::string draw_name(reference::Random& random) {
    static const std::vector<std::string> labels = {"a", "b", "ab", "www", "com", "x-1"};
    std::string name = random.pick(labels);
    for (unsigned more = random.below(4); more > 0; --more)
        name += "." + random.pick(labels);
    return name;
}

TEST(NameSet, AgreesWithTheModel) {
    reference::Random random(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> entries;
        for (unsigned left = random.between(1, 60); left > 0; --left)
            entries.push_back((random.one_in(3) ? "=" : "") + draw_name(random));
        const NameSet set = set_of(entries);
        for (int i = 0; i < 100; ++i) {
            const std::string name = draw_name(random);
            ASSERT_EQ(matches(set, name), model(entries, name)) << name;
        }
    }
}

TEST(NameSet, ManyNames) {
    std::vector<std::string> entries;
    for (int i = 0; i < 100'000; ++i)
        entries.push_back("host" + std::to_string(i * 7) + ".example" + std::to_string(i % 10));
    const NameSet set = set_of(entries);
    for (std::uint32_t i = 0; i < entries.size(); i += 97)
        EXPECT_EQ(matches(set, "www." + entries[i]), Indices{i});
    EXPECT_EQ(matches(set, "host1.example1"), Indices{});
    EXPECT_LT(set.bytes(), 8u << 20);
}

}  // namespace
}  // namespace sluice::payload
