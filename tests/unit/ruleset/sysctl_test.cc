#include "controlplane/ruleset/sysctl.h"

#include <gtest/gtest.h>

namespace sluice::ruleset {
namespace {

TEST(Sysctl, EveryNameOfTheTableWorksOrIsRefusedInWords) {
    for (const SysctlName& entry : sysctl_names()) {
        contract::Sysctls values;
        const auto read = read_sysctl(values, {}, entry.name);
        const auto written = write_sysctl(values, entry.name, "1");
        switch (entry.kind) {
            case SysctlKind::writable:
                EXPECT_TRUE(read) << entry.name;
                ASSERT_TRUE(written) << entry.name;
                EXPECT_EQ(*read_sysctl(values, {}, entry.name), 1u) << entry.name;
                break;
            case SysctlKind::read_only:
                EXPECT_TRUE(read) << entry.name;
                ASSERT_FALSE(written) << entry.name;
                EXPECT_EQ(written.error().status, ExitStatus::unavailable);
                break;
            case SysctlKind::not_supported:
                ASSERT_FALSE(read) << entry.name;
                ASSERT_FALSE(written) << entry.name;
                EXPECT_TRUE(written.error().message.starts_with("not supported yet: "));
                EXPECT_EQ(read.error().status, ExitStatus::unavailable);
                EXPECT_EQ(written.error().status, ExitStatus::unavailable);
                break;
        }
    }
}

TEST(Sysctl, DefaultsAreThoseOfTheReference) {
    const contract::Sysctls values;
    const SysctlFacts facts{.default_accept = true, .static_count = 7};
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.enable"), 1u);
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.verbose"), 0u);
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.autoinc_step"), 100u);
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.default_rule"), 65535u);
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.default_to_accept"), 1u);
    EXPECT_EQ(*read_sysctl(values, facts, "net.inet.ip.fw.static_count"), 7u);
}

TEST(Sysctl, TheStepIsClamped) {
    contract::Sysctls values;
    ASSERT_TRUE(write_sysctl(values, "net.inet.ip.fw.autoinc_step", "0"));
    EXPECT_EQ(values.autoinc_step, 1u);
    ASSERT_TRUE(write_sysctl(values, "net.inet.ip.fw.autoinc_step", "70000"));
    EXPECT_EQ(values.autoinc_step, 1000u);
}

TEST(Sysctl, LifetimesAreBroughtIntoTheirBounds) {
    contract::Sysctls values;
    for (const char* name : {"fin", "rst"}) {
        const std::string sysctl = std::string("net.inet.ip.fw.dyn_") + name + "_lifetime";
        ASSERT_TRUE(write_sysctl(values, sysctl, "30"));
        EXPECT_EQ(*read_sysctl(values, {}, sysctl), 4u) << sysctl;
        ASSERT_TRUE(write_sysctl(values, sysctl, "0"));
        EXPECT_EQ(*read_sysctl(values, {}, sysctl), 1u) << sysctl;
    }
    for (const char* name : {"ack", "syn", "udp", "short"}) {
        const std::string sysctl = std::string("net.inet.ip.fw.dyn_") + name + "_lifetime";
        ASSERT_TRUE(write_sysctl(values, sysctl, "0"));
        EXPECT_EQ(*read_sysctl(values, {}, sysctl), 1u) << sysctl;
        ASSERT_TRUE(write_sysctl(values, sysctl, "3600"));
        EXPECT_EQ(*read_sysctl(values, {}, sysctl), 3600u) << sysctl;
    }
}

TEST(Sysctl, SharesAreRefusedBeyondTheirBounds) {
    contract::Sysctls values;
    EXPECT_TRUE(write_sysctl(values, "net.inet.ip.fw.dyn_established_share", "90"));
    EXPECT_EQ(write_sysctl(values, "net.inet.ip.fw.dyn_established_share", "91").error().message,
              "bad value for sysctl net.inet.ip.fw.dyn_established_share: expected a number from 0 "
              "to 90");
    EXPECT_TRUE(write_sysctl(values, "net.inet.ip.fw.dyn_adaptive_start", "100"));
    EXPECT_FALSE(write_sysctl(values, "net.inet.ip.fw.dyn_adaptive_start", "101"));
    EXPECT_EQ(values.dyn_established_share, 90u);
}

TEST(Sysctl, TheStateTableIsBoundedByItsMemory) {
    contract::Sysctls values;
    const StateFacts facts{.count = 5, .parent_count = 2, .buckets = 512, .capacity = 1000};
    EXPECT_TRUE(write_sysctl(values, "net.inet.ip.fw.dyn_max", "1000", facts));
    const auto more = write_sysctl(values, "net.inet.ip.fw.dyn_max", "1001", facts);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().status, ExitStatus::unavailable);
    EXPECT_NE(more.error().message.find("`states` in sluice.toml"), std::string::npos);
    EXPECT_EQ(values.dyn_max, 1000u);
    EXPECT_TRUE(write_sysctl(values, "net.inet.ip.fw.dyn_max", "1001"));  // nobody knows the bound
    const SysctlFacts all{.default_accept = false, .static_count = 1, .states = facts};
    EXPECT_EQ(*read_sysctl(values, all, "net.inet.ip.fw.dyn_count"), 5u);
    EXPECT_EQ(*read_sysctl(values, all, "net.inet.ip.fw.dyn_parent_count"), 2u);
    EXPECT_EQ(*read_sysctl(values, all, "net.inet.ip.fw.dyn_buckets"), 512u);
    EXPECT_EQ(*read_sysctl(values, all, "net.inet.ip.fw.curr_dyn_buckets"), 512u);
    EXPECT_EQ(*read_sysctl(values, all, "net.inet.ip.fw.state_capacity"), 1000u);
    EXPECT_EQ(write_sysctl(values, "net.inet.ip.fw.dyn_buckets", "1024").error().message,
              "sysctl net.inet.ip.fw.dyn_buckets is read-only: the table is sized by `states` in "
              "sluice.toml");
}

TEST(Sysctl, BadValuesAndUnknownNames) {
    contract::Sysctls values;
    for (const char* bad : {"", "x", "-1", "1x", "2147483648", "99999999999999999999"}) {
        const auto written = write_sysctl(values, "net.inet.ip.fw.verbose", bad);
        ASSERT_FALSE(written) << bad;
        EXPECT_EQ(written.error().status, ExitStatus::data);
    }
    EXPECT_EQ(values.verbose, 0u);
    EXPECT_EQ(write_sysctl(values, "net.inet.ip.fw.verbos", "1").error().status, ExitStatus::data);
    EXPECT_EQ(read_sysctl(values, {}, "verbose").error().status, ExitStatus::data);
}

}  // namespace
}  // namespace sluice::ruleset
