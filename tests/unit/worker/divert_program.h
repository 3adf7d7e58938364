// A program that listens on a divert port, played by a test over a real socket.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "common/unique_fd.h"
#include "dataplane/divert/message.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {

struct Message {
    divert::Header header{};
    Bytes packet;
};

// A program that listens.
class Program {
  public:
    explicit Program(const std::string& path)
        : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        const timeval patience{.tv_sec = 5, .tv_usec = 0};
        setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }

    void send(const divert::Header& header, const Bytes& packet) {
        Bytes bytes(sizeof header + packet.size());
        std::memcpy(bytes.data(), &header, sizeof header);
        if (!packet.empty())
            std::memcpy(bytes.data() + sizeof header, packet.data(), packet.size());
        EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    void send(const Message& message) { send(message.header, message.packet); }

    // None: the connection has ended, or nothing came.
    std::optional<Message> receive(int flags = 0) {
        Bytes bytes(70000);
        const ssize_t length = recv(socket_.get(), bytes.data(), bytes.size(), flags);
        if (length < static_cast<ssize_t>(sizeof(divert::Header)))
            return std::nullopt;
        Message message;
        std::memcpy(&message.header, bytes.data(), sizeof message.header);
        message.packet.assign(bytes.begin() + sizeof(divert::Header), bytes.begin() + length);
        return message;
    }

    // What the data plane answers: the type, and the reason.
    std::pair<int, std::string> bind(std::uint16_t port) {
        send(divert::make_header(SLUICE_DIVERT_BIND, port), {});
        const auto answer = receive();
        if (!answer)
            return {0, "no answer"};
        return {answer->header.type, {answer->packet.begin(), answer->packet.end()}};
    }
    void bound(std::uint16_t port) { EXPECT_EQ(bind(port).first, SLUICE_DIVERT_BOUND); }
    void close() { socket_.reset(); }

  private:
    UniqueFd socket_;
};

}  // namespace sluice::worker
