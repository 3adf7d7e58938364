#include "dataplane/app/arguments.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::dataplane {
namespace {

config::Settings settings_of(std::vector<std::string> devices) {
    config::Settings settings;
    for (std::string& device : devices) {
        config::Port port;
        port.device = std::move(device);
        settings.ports.push_back(std::move(port));
    }
    return settings;
}

bool has(const std::vector<std::string>& arguments, const std::string& argument) {
    return std::find(arguments.begin(), arguments.end(), argument) != arguments.end();
}

std::string after(const std::vector<std::string>& arguments, const std::string& key) {
    const auto found = std::find(arguments.begin(), arguments.end(), key);
    return found == arguments.end() ? "" : *(found + 1);
}

TEST(ArgumentsTest, WorkersSleepWhereTheyWouldTakeTheLastCpu) {
    config::DataPlane settings;
    settings.workers = 2;
    EXPECT_TRUE(workers_sleep(settings, 1));
    EXPECT_TRUE(workers_sleep(settings, 3));
    EXPECT_FALSE(workers_sleep(settings, 4));
    settings.idle = config::Idle::poll;
    EXPECT_FALSE(workers_sleep(settings, 1));
    settings.idle = config::Idle::backoff;
    EXPECT_TRUE(workers_sleep(settings, 64));
}

TEST(ArgumentsTest, SleepingWorkersFloatAndPollingOnesArePinned) {
    config::Settings settings = settings_of({"net_null0"});
    auto arguments = eal_arguments(settings, {0, 1});
    ASSERT_TRUE(arguments);
    EXPECT_EQ(after(*arguments, "--lcores"), "0@(0,1),1@(0,1)");
    settings.dataplane.workers = 2;
    arguments = eal_arguments(settings, {0, 1, 2, 3});
    EXPECT_EQ(after(*arguments, "--lcores"), "0@(0,1,2,3),1@3,2@2");
    settings.dataplane.cpus = {1, 3};
    arguments = eal_arguments(settings, {0, 1, 2, 3});
    EXPECT_EQ(after(*arguments, "--lcores"), "0@(0,1,2,3),1@1,2@3");
}

TEST(ArgumentsTest, ACpuThatIsNotThereIsAnError) {
    config::Settings settings = settings_of({"net_null0"});
    settings.dataplane.cpus = {5};
    const auto arguments = eal_arguments(settings, {0, 1});
    ASSERT_FALSE(arguments);
    EXPECT_EQ(arguments.error().message,
              "CPU 5 of the setting cpus is not available to this process, which has 0,1");
}

TEST(ArgumentsTest, HugePagesAndOrdinaryMemoryExcludeEachOther) {
    config::Settings settings = settings_of({"net_null0"});
    auto arguments = eal_arguments(settings, {0});
    EXPECT_TRUE(has(*arguments, "--in-memory"));
    EXPECT_FALSE(has(*arguments, "--no-huge"));
    settings.dataplane.huge_pages = false;
    arguments = eal_arguments(settings, {0});
    EXPECT_TRUE(has(*arguments, "--no-huge"));
    EXPECT_FALSE(has(*arguments, "--in-memory"));
    EXPECT_EQ(after(*arguments, "-m"), "512");
}

TEST(ArgumentsTest, OnlyNamedPciDevicesAreTouched) {
    auto arguments = eal_arguments(settings_of({"net_null0", "net_tap0"}), {0});
    EXPECT_TRUE(has(*arguments, "--no-pci"));
    arguments = eal_arguments(settings_of({"net_null0", "0000:03:00.0"}), {0});
    EXPECT_FALSE(has(*arguments, "--no-pci"));
    EXPECT_EQ(after(*arguments, "-a"), "0000:03:00.0");
}

TEST(ArgumentsTest, XdpSocketsNeedHugePages) {
    config::Settings settings = settings_of({"net_af_xdp0,iface=eth1"});
    EXPECT_TRUE(eal_arguments(settings, {0}));
    settings.dataplane.huge_pages = false;
    const auto arguments = eal_arguments(settings, {0});
    ASSERT_FALSE(arguments);
    EXPECT_NE(arguments.error().message.find("huge_pages = true"), std::string::npos);
}

TEST(ArgumentsTest, OwnArgumentsComeLast) {
    config::Settings settings = settings_of({"net_null0"});
    settings.dataplane.eal_arguments = {"--force-max-simd-bitwidth=512"};
    EXPECT_EQ(eal_arguments(settings, {0})->back(), "--force-max-simd-bitwidth=512");
}

TEST(ArgumentsTest, MissingHugePagesSayHowToGetThem) {
    const auto result = check_huge_pages(1u << 30);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("sysctl vm.nr_hugepages=536870912"), std::string::npos);
    EXPECT_NE(result.error().message.find("huge_pages = false"), std::string::npos);
}

}  // namespace
}  // namespace sluice::dataplane
