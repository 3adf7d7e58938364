// Keeps the kernel from putting IPv4 fragments together in front of a net_af_packet port.
//
// DPDK's driver joins the packet sockets of a port to a fanout group with
// PACKET_FANOUT_FLAG_DEFRAG, also where there is one socket only, and has no argument that says
// otherwise. Then no rule ever sees a fragment, and a packet that was put together is larger than
// the frames of the ring and is lost. A filter must see what is on the wire. The program defines
// setsockopt itself, and the dynamic linker gives this definition to the driver; all it does is to
// take that flag away.

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

extern "C" int setsockopt(int descriptor, int level, int name, const void* value,
                          socklen_t length) noexcept {
    constexpr unsigned kFlagsShift = 16;
    unsigned fanout = 0;
    if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof fanout) {
        std::memcpy(&fanout, value, sizeof fanout);
        fanout &= ~(unsigned{PACKET_FANOUT_FLAG_DEFRAG} << kFlagsShift);
        value = &fanout;
    }
    return static_cast<int>(syscall(SYS_setsockopt, descriptor, level, name, value, length));
}
