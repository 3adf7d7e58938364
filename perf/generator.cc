// generator INTERFACE SECONDS: floods an interface with small UDP frames of 1024 flows, as fast as
// a packet socket takes them, and prints how many went out. The destination is nobody's hardware
// address, so that the host behind the bridge only counts them.

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t kFlows = 1024;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kFrameLength = 60;
using Frame = std::array<std::uint8_t, kFrameLength>;

Frame make_frame(std::size_t flow) {
    Frame frame = {0x02, 0, 0,    0,    0,    0x99, 0x02, 0, 0,
                   0,    0, 0x0a, 0x08, 0x00, 0x45, 0x00, 0, kFrameLength - 14,
                   0,    0, 0,    0,    64,   17};
    const std::uint8_t addresses[] = {198, 51, 100, 1, 192, 0, 2, 1};
    for (std::size_t i = 0; i < sizeof addresses; ++i)
        frame[26 + i] = addresses[i];
    const auto port = static_cast<std::uint16_t>(1024 + flow);
    frame[34] = static_cast<std::uint8_t>(port >> 8);
    frame[35] = static_cast<std::uint8_t>(port);
    frame[37] = 53;
    frame[39] = kFrameLength - 34;
    std::uint32_t sum = 0;
    for (std::size_t i = 14; i < 34; i += 2)
        sum += static_cast<std::uint32_t>(frame[i] << 8 | frame[i + 1]);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    frame[24] = static_cast<std::uint8_t>(~sum >> 8);
    frame[25] = static_cast<std::uint8_t>(~sum);
    return frame;
}

int open_socket(const char* interface) {
    const int fd = socket(AF_PACKET, SOCK_RAW, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    const int on = 1;
    if (fd < 0 || address.sll_ifindex == 0 ||
        bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0) {
        std::perror("generator");
        std::exit(1);
    }
    return fd;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: generator INTERFACE SECONDS\n", stderr);
        return 64;
    }
    const int fd = open_socket(argv[1]);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[2]));
    std::vector<Frame> frames;
    for (std::size_t flow = 0; flow < kFlows; ++flow)
        frames.push_back(make_frame(flow));
    std::uint64_t sent = 0;
    std::size_t next = 0;
    while (std::chrono::steady_clock::now() < end) {
        std::array<iovec, kBatch> pieces;
        std::array<mmsghdr, kBatch> messages{};
        for (std::size_t i = 0; i < kBatch; ++i) {
            Frame& frame = frames[next++ % kFlows];
            pieces[i] = {frame.data(), frame.size()};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int done = sendmmsg(fd, messages.data(), kBatch, 0);
        if (done > 0)
            sent += static_cast<std::uint64_t>(done);
    }
    std::printf("%llu\n", static_cast<unsigned long long>(sent));
    close(fd);
    return 0;
}
