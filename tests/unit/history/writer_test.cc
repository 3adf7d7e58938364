#include "controlplane/history/writer.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/unit/history/fragile_folder.h"

namespace sluice::history {
namespace {

std::optional<Outcome> outcome_of(Writer& writer) {
    pollfd wait{writer.descriptor(), POLLIN, 0};
    EXPECT_EQ(poll(&wait, 1, 10'000), 1);
    return writer.take();
}

TEST(Writer, SaysWhatCameOfIt) {
    FragileFolder folder;
    auto writer = Writer::start(folder);
    ASSERT_TRUE(writer);
    EXPECT_FALSE((*writer)->take());
    const std::string before =
        "add 1 allow ip from any to any\nadd 2 deny ip from any to any\nadd 3 count tcp from any "
        "to any\n";
    const std::string after =
        "add 1 allow ip from any to any\nadd 2 set 4 deny ip from any to any\nadd 4 count tcp "
        "from any to any\n";
    (*writer)->begin({{{.number = 1}, after}, before});
    auto outcome = outcome_of(**writer);
    ASSERT_TRUE(outcome && outcome->done);
    EXPECT_EQ(outcome->write.entry.difference, (ruleset::DifferenceCounts{1, 1, 1}));
    EXPECT_FALSE((*writer)->take());
    Store store(folder, [](const std::string&) {});
    EXPECT_EQ(store.newest(), outcome->write.entry);

    // With nothing to compare it with the difference is what it was.
    (*writer)->begin({{{.number = 1, .difference = {7, 8, 9}}, after}, {}});
    outcome = outcome_of(**writer);
    EXPECT_EQ(outcome->write.entry.difference, (ruleset::DifferenceCounts{7, 8, 9}));

    folder.fails_from = 1;
    (*writer)->begin({{{.number = 2}, after}, {}});
    (*writer)->wait();
    outcome = (*writer)->take();
    ASSERT_TRUE(outcome);
    EXPECT_FALSE(outcome->done);
}

TEST(Writer, FinishesWhatWasBegun) {
    FragileFolder folder;
    for (std::uint64_t number = 1; number <= 20; ++number)
        (*Writer::start(folder))->begin({{{.number = number}, "text"}, {}});
    EXPECT_EQ(folder.names()->size(), 20u);
}

}  // namespace
}  // namespace sluice::history
