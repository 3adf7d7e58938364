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
