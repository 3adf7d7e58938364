#include "controlplane/service/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

TEST(EventLoop, TimersRunInOrderAndCanBeCancelled) {
    const auto loop = *EventLoop::create();
    std::string order;
    loop->after(milliseconds(20), [&] { order += "c"; });
    loop->after(milliseconds(1), [&] { order += "a"; });
    const auto cancelled = loop->after(milliseconds(5), [&] { order += "x"; });
    loop->after(milliseconds(2), [&] {
        order += "b";
        loop->cancel(cancelled);
    });
    int ticks = 0;
    const auto period = loop->every(milliseconds(1), [&] {
        if (++ticks == 3)
            loop->stop();
    });
    loop->run();
    loop->cancel(period);
    while (order.size() < 3)
        loop->turn(milliseconds(100));
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(ticks, 3);
}

TEST(EventLoop, AHandlerMayForgetOthersOfTheSameRound) {
    const auto loop = *EventLoop::create();
    int first[2], second[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, first), 0);
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, second), 0);
    int calls = 0;
    const auto handler = [&](std::uint32_t) {
        ++calls;
        loop->forget(first[0]);
        loop->forget(second[0]);
    };
    loop->watch(first[0], EPOLLIN, handler);
    loop->watch(second[0], EPOLLIN, handler);
    ASSERT_EQ(write(first[1], "x", 1), 1);
    ASSERT_EQ(write(second[1], "x", 1), 1);
    loop->turn(milliseconds(100));
    loop->turn(milliseconds(0));
    EXPECT_EQ(calls, 1);
    for (const int fd : {first[0], first[1], second[0], second[1]})
        close(fd);
}

}  // namespace
}  // namespace sluice::service
