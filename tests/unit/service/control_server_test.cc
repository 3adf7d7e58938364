#include "controlplane/service/control_server.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

class ControlServerTest : public testing::Test {
  protected:
    ControlServerTest() : loop_(std::move(*EventLoop::create())) {
        char name[] = "/tmp/sluice-srv-XXXXXX";
        folder_ = mkdtemp(name);
        chmod(folder_.c_str(), 0755);
        path_ = folder_ + "/new/control.sock";
    }
    ~ControlServerTest() override {
        server_.reset();
        std::filesystem::remove_all(folder_);
    }

    Result<Done> listen() {
        auto server = ControlServer::listen(
            *loop_, path_, access_,
            [this](Request request, const Caller& peer, ControlServer::Reply reply) {
                last_peer_ = peer;
                if (follow_)
                    streams_.push_back(peer.follow());
                ++requests_;
                if (hold_)
                    held_.push_back(std::move(reply));
                else
                    reply(answer_to(request));
            });
        if (!server)
            return server.error();
        server_ = std::move(*server);
        return Done{};
    }

    static Response answer_to(const Request& request) {
        Response response;
        response.generation = request.operations.size();
        return response;
    }

    UniqueFd client() {
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
        EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }

    static void put(const UniqueFd& fd, const std::string& bytes) {
        EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }

    // The next answer, or none when the connection ended or nothing came in time.
    std::optional<Response> answer(const UniqueFd& fd, FrameReader& reader) {
        const auto end = EventLoop::Clock::now() + std::chrono::seconds(3);
        while (EventLoop::Clock::now() < end) {
            if (const auto message = reader.next(); message && *message)
                return *decode_response(**message);
            loop_->turn(milliseconds(5));
            char buffer[65536];
            const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
            if (n == 0)
                return std::nullopt;
            if (n > 0)
                reader.append(std::string_view(buffer, static_cast<std::size_t>(n)));
        }
        return std::nullopt;
    }
    std::optional<Response> answer(const UniqueFd& fd) {
        FrameReader reader;
        return answer(fd, reader);
    }

    static std::string flush_request() {
        Request request;
        request.operations.push_back(
            {.line = 0, .forgive = false, .what = language::FlushCommand{}});
        return framed(encode(request));
    }

    std::unique_ptr<EventLoop> loop_;
    std::string folder_, path_;
    std::unique_ptr<ControlServer> server_;
    Access access_;
    Peer last_peer_;
    int requests_ = 0;
    bool hold_ = false;
    bool follow_ = false;
    std::vector<std::shared_ptr<Stream>> streams_;
    std::vector<ControlServer::Reply> held_;
};

TEST_F(ControlServerTest, TheSocketIsForTheGroup) {
    ASSERT_TRUE(listen());
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 07777, 0660u);
    server_.reset();
    EXPECT_NE(stat(path_.c_str(), &status), 0);
}

TEST_F(ControlServerTest, AnswersOneRequestAfterTheOther) {
    ASSERT_TRUE(listen());
    const UniqueFd fd = client();
    std::string many;
    for (int i = 0; i < 300; ++i)
        many += flush_request();
    put(fd, many);
    FrameReader reader;
    for (int i = 0; i < 300; ++i) {
        const auto response = answer(fd, reader);
        ASSERT_TRUE(response) << i;
        EXPECT_EQ(response->generation, 1u);
    }
    EXPECT_EQ(requests_, 300);
}

TEST_F(ControlServerTest, ASecondControlPlaneIsRefusedAndAStaleSocketIsNot) {
    ASSERT_TRUE(listen());
    const auto second = ControlServer::listen(*loop_, path_, {}, [](Request, const Peer&, auto) {});
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another sluice-controlplane"), std::string::npos);
    // A crash leaves the file behind.
    std::filesystem::rename(path_, path_ + ".kept");
    server_.reset();
    std::filesystem::rename(path_ + ".kept", path_);
    EXPECT_TRUE(listen());
}

TEST_F(ControlServerTest, AFileInTheWayIsNotRemoved) {
    std::filesystem::create_directories(folder_ + "/new");
    close(open(path_.c_str(), O_CREAT | O_WRONLY, 0600));
    const auto listening = listen();
    ASSERT_FALSE(listening);
    EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ControlServerTest, AnUnknownGroupIsSaid) {
    const auto server =
        ControlServer::listen(*loop_, path_, {.group = "no-such-group-here", .roles = {}},
                              [](Request, const Peer&, auto) {});
    ASSERT_FALSE(server);
    EXPECT_NE(server.error().message.find("no-such-group-here"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ControlServerTest, GarbageIsAnsweredInWordsAndEndsTheConnection) {
    ASSERT_TRUE(listen());
    for (const std::string& bytes :
         {framed("nonsense"), framed("{}"), framed(std::string(100000, '[')),
          std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\0\0\0\0", 4)}) {
        const UniqueFd fd = client();
        put(fd, bytes);
        FrameReader reader;
        const auto response = answer(fd, reader);
        ASSERT_TRUE(response);
        EXPECT_NE(response->status, ExitStatus::ok);
        EXPECT_FALSE(answer(fd, reader));
    }
    EXPECT_EQ(requests_, 0);
}

TEST_F(ControlServerTest, ASlowClientIsCutOffAndStallsNobody) {
    ASSERT_TRUE(listen());
    server_->set_message_deadline(milliseconds(100));
    const UniqueFd slow = client();
    put(slow, "\x10\x00\x00\x00{");
    const UniqueFd quick = client();
    put(quick, flush_request());
    EXPECT_TRUE(answer(quick));
    EXPECT_FALSE(answer(slow));
}

TEST_F(ControlServerTest, TooManyClientsAreTurnedAway) {
    ASSERT_TRUE(listen());
    std::vector<UniqueFd> clients;
    for (std::size_t i = 0; i < kMaximumClients; ++i) {
        clients.push_back(client());
        loop_->turn(milliseconds(5));
    }
    const UniqueFd one_more = client();
    const auto response = answer(one_more);
    ASSERT_TRUE(response);
    EXPECT_NE(response->message.find("too many clients"), std::string::npos);
    clients.pop_back();
    loop_->turn(milliseconds(5));
    loop_->turn(milliseconds(5));
    const UniqueFd next = client();
    put(next, flush_request());
    EXPECT_TRUE(answer(next));
}

TEST_F(ControlServerTest, TheHandlerKnowsWhoAsks) {
    ASSERT_TRUE(listen());
    const UniqueFd fd = client();
    put(fd, flush_request());
    ASSERT_TRUE(answer(fd));
    EXPECT_EQ(last_peer_.user, geteuid());
    EXPECT_EQ(last_peer_.process, getpid());
    EXPECT_EQ(last_peer_.role, Role::admin);
}

// Eight requests of which all but the last byte has come would be more than we hold for anybody.
TEST_F(ControlServerTest, WhatIsHeldForAllClientsIsBounded) {
    ASSERT_TRUE(listen());
    server_->set_message_deadline(std::chrono::seconds(60));
    const std::string length("\0\0\0\x04", 4);  // 64 MiB
    const std::string piece(1 << 20, 'x');
    std::vector<UniqueFd> clients;
    std::size_t refused = 0, sent_in_all = 0;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(client());
        put(clients.back(), length);
        std::size_t sent = 0;
        while (sent < (std::size_t{60} << 20)) {
            const ssize_t n = send(clients.back().get(), piece.data(), piece.size(), MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN)
                break;
            sent += n > 0 ? static_cast<std::size_t>(n) : 0;
            loop_->turn(milliseconds(0));
        }
        sent_in_all += sent;
        FrameReader reader;
        if (sent >= (std::size_t{60} << 20))
            continue;
        const auto said = answer(clients.back(), reader);
        ASSERT_TRUE(said);
        EXPECT_NE(said->message.find("holds too much"), std::string::npos);
        ++refused;
    }
    EXPECT_EQ(refused, 1u);
    EXPECT_LT(sent_in_all, kMaximumHeld + (2u << 20));
}

TEST_F(ControlServerTest, WhoHasARoleCanConnect) {
    config::Control names;
    names.read = {"daemon"};
    access_.roles = *Roles::resolve(names);
    ASSERT_TRUE(listen());
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0666u);
}

TEST_F(ControlServerTest, AnAnswerForAClientThatIsGoneIsDropped) {
    ASSERT_TRUE(listen());
    hold_ = true;
    {
        const UniqueFd fd = client();
        put(fd, flush_request());
        while (held_.empty())
            loop_->turn(milliseconds(5));
    }
    loop_->turn(milliseconds(20));
    held_[0](Response{});
    server_.reset();
    held_[0](Response{});
}

TEST_F(ControlServerTest, AClientThatDoesNotReadHoldsOnlyItsOwnAnswer) {
    ASSERT_TRUE(listen());
    hold_ = true;
    const UniqueFd lazy = client();
    put(lazy, flush_request());
    while (held_.empty())
        loop_->turn(milliseconds(5));
    Response large;
    large.message = std::string(8 << 20, 'x');
    held_[0](large);
    hold_ = false;
    const UniqueFd quick = client();
    put(quick, flush_request());
    EXPECT_TRUE(answer(quick));
    const auto late = answer(lazy);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->message.size(), large.message.size());
}

// Needs root, to become somebody else.
TEST_F(ControlServerTest, StrangersAreTurnedAwayWhateverTheMode) {
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can change its user";
    ASSERT_TRUE(listen());
    chmod(path_.c_str(), 0666);
    const pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(1);
        const UniqueFd fd = client();
        // May fail: the refusal does not wait for a request.
        const std::string request = flush_request();
        [[maybe_unused]] const ssize_t sent =
            send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
        char buffer[4096];
        fcntl(fd.get(), F_SETFL, 0);
        const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
        const bool told =
            n > 0 &&
            std::string_view(buffer, static_cast<std::size_t>(n)).find("permission denied") !=
                std::string_view::npos;
        _exit(told ? 0 : 2);
    }
    int status = -1;
    for (int i = 0; i < 600 && waitpid(child, &status, WNOHANG) == 0; ++i)
        loop_->turn(milliseconds(5));
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(requests_, 0);
}

// The next message that is there, whatever it is.
std::optional<std::string> next_message(EventLoop& loop, const UniqueFd& fd, FrameReader& reader) {
    for (int i = 0; i < 100; ++i) {
        if (auto message = reader.next(); message && *message)
            return std::move(**message);
        loop.turn(milliseconds(5));
        char buffer[65536];
        if (const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0); n > 0)
            reader.append(std::string_view(buffer, static_cast<std::size_t>(n)));
    }
    return std::nullopt;
}

TEST_F(ControlServerTest, BehindTheAnswerComesWhatTheClientFollows) {
    follow_ = true;
    ASSERT_TRUE(listen());
    server_->set_message_deadline(milliseconds(50));
    UniqueFd fd = client();
    put(fd, flush_request());
    FrameReader reader;
    ASSERT_TRUE(answer(fd, reader));
    ASSERT_EQ(streams_.size(), 1u);
    const std::shared_ptr<Stream> stream = streams_[0];
    // No deadline ends it.
    for (int i = 0; i < 30; ++i)
        loop_->turn(milliseconds(5));
    ASSERT_TRUE(stream->there());
    EXPECT_TRUE(stream->send({.lines = {"one"}}));
    EXPECT_TRUE(stream->send({.lines = {"two"}, .lost = 7}));
    EXPECT_EQ(decode_piece(*next_message(*loop_, fd, reader))->lines[0], "one");
    EXPECT_EQ(decode_piece(*next_message(*loop_, fd, reader))->lost, 7u);
    fd = UniqueFd();
    for (int i = 0; i < 100 && stream->there(); ++i)
        loop_->turn(milliseconds(5));
    EXPECT_FALSE(stream->there());
    EXPECT_FALSE(stream->send({.lines = {"three"}}));
}

TEST_F(ControlServerTest, WhoDoesNotReadHoldsABoundedBufferAndGetsTheRestWhole) {
    follow_ = true;
    ASSERT_TRUE(listen());
    const UniqueFd fd = client();
    put(fd, flush_request());
    FrameReader reader;
    ASSERT_TRUE(answer(fd, reader));
    const std::string line(10000, 'x');
    std::size_t sent = 0;
    while (sent < 1000 && streams_[0]->send({.lines = {line}, .lost = sent}))
        ++sent;
    EXPECT_GT(sent, kMaximumHeldByStream / 10100 - 1);
    EXPECT_LT(sent, 1000u);
    EXPECT_TRUE(streams_[0]->there());
    for (std::size_t i = 0; i < sent; ++i) {
        const auto piece = decode_piece(*next_message(*loop_, fd, reader));
        ASSERT_TRUE(piece);
        EXPECT_EQ(piece->lost, i);
        EXPECT_EQ(piece->lines[0].size(), line.size());
    }
    EXPECT_TRUE(streams_[0]->send({.lines = {line}}));
}

TEST_F(ControlServerTest, WhoFollowsIsOneOfAFewAndSaysNothingMore) {
    follow_ = true;
    ASSERT_TRUE(listen());
    std::vector<UniqueFd> clients;
    for (std::size_t i = 0; i < kMaximumStreams + 1; ++i) {
        clients.push_back(client());
        put(clients.back(), flush_request());
        ASSERT_TRUE(answer(clients.back()));
    }
    EXPECT_EQ(streams_.back(), nullptr);
    put(clients[0], flush_request());
    for (int i = 0; i < 100 && streams_[0]->there(); ++i)
        loop_->turn(milliseconds(5));
    EXPECT_FALSE(streams_[0]->there());
    EXPECT_TRUE(streams_[1]->there());
}

}  // namespace
}  // namespace sluice::service
