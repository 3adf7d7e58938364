#include "dataplane/worker/device.h"

#include <gtest/gtest.h>

namespace sluice::worker {
namespace {

TEST(DeviceTest, NameAndArguments) {
    EXPECT_EQ(device_name("net_tap0"), "net_tap0");
    EXPECT_EQ(device_name("net_af_packet0,iface=e0"), "net_af_packet0");
    EXPECT_EQ(device_argument("net_af_packet0,iface=e0,qpairs=2", "iface"), "e0");
    EXPECT_EQ(device_argument("net_af_packet0,iface=e0,qpairs=2", "qpairs"), "2");
    EXPECT_EQ(device_argument("net_af_packet0,iface=e0", "if"), "");
    EXPECT_EQ(device_argument("net_af_packet0", "iface"), "");
}

TEST(DeviceTest, PciAddresses) {
    for (const char* name : {"0000:03:00.0", "03:00.1", "ABCD:ff:1f.7"})
        EXPECT_TRUE(is_pci_address(name)) << name;
    for (const char* name : {"net_tap0", "03:00", "0000:03.0:1", "x:03:00.0", ":00.0", ""})
        EXPECT_FALSE(is_pci_address(name)) << name;
}

TEST(DeviceTest, BuffersHoldAFrameWithTags) {
    EXPECT_EQ(buffer_room("net_null0", 68), 2048u);
    EXPECT_EQ(buffer_room("net_null0", 1500), 2048u);
    EXPECT_EQ(buffer_room("net_null0", 9000), 9216u);
    EXPECT_EQ(buffer_room("net_null0", 9216), 10240u);
    EXPECT_EQ(buffer_room("net_af_packet0,iface=e0,framesz=16384", 1500), 16384u);
    EXPECT_EQ(buffer_room("net_af_packet0,iface=e0,framesz=x", 1500), 2048u);
}

TEST(DeviceTest, PacketRingsFollowMtuAndWorkers) {
    EXPECT_EQ(complete_device("net_null0", 1500, 2), "net_null0");
    EXPECT_EQ(complete_device("net_af_packet0,iface=e0", 1500, 2),
              "net_af_packet0,iface=e0,qpairs=2,framesz=2048,blocksz=4096,framecnt=2048");
    EXPECT_EQ(complete_device("net_af_packet0,iface=e0", 9000, 1),
              "net_af_packet0,iface=e0,qpairs=1,framesz=9216,blocksz=36864,framecnt=1024");
    const char* own = "net_af_packet0,iface=e0,qpairs=4,framesz=4096,blocksz=8192";
    EXPECT_EQ(complete_device(own, 9000, 1), own);
}

TEST(DeviceTest, BlocksAreWholePagesAndWholeFrames) {
    for (unsigned mtu = 68; mtu <= 9216; ++mtu) {
        const std::string device = complete_device("net_af_packet0,iface=e0", mtu, 1);
        const unsigned frame =
            static_cast<unsigned>(std::stoul(std::string(device_argument(device, "framesz"))));
        const unsigned block =
            static_cast<unsigned>(std::stoul(std::string(device_argument(device, "blocksz"))));
        ASSERT_EQ(block % 4096, 0u);
        ASSERT_EQ(block % frame, 0u);
        ASSERT_GE(frame, mtu + 26);
        ASSERT_LE(frame - 72, buffer_room(device, mtu));
    }
}

TEST(DeviceTest, HintsSayWhatToDo) {
    EXPECT_NE(device_hint("0000:03:00.0").find("vfio-pci"), std::string::npos);
    EXPECT_NE(device_hint("net_af_packet0").find("net_af_packet0,iface=eth1"), std::string::npos);
    EXPECT_NE(device_hint("net_af_xdp0,iface=no-such-if").find("no-such-if"), std::string::npos);
}

}  // namespace
}  // namespace sluice::worker
