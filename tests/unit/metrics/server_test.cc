#include "controlplane/metrics/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "common/unique_fd.h"
#include "tests/unit/metrics/appliance.h"

namespace sluice::metrics {
namespace {

constexpr config::Endpoint kAnyPort{.address = Ipv4::from_host(0x7f000001), .port = 0};

UniqueFd connect_to(std::uint16_t port) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
}

// Everything that comes back until the server closes the connection.
std::string exchange(std::uint16_t port, const std::string& request) {
    const UniqueFd fd = connect_to(port);
    EXPECT_EQ(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[65536];
    for (ssize_t n = 0; (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    return answer;
}

std::string request(const std::string& method, const std::string& path) {
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string body_of(const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
}

class ServerTest : public testing::Test {
  protected:
    void SetUp() override {
        slot_ = appliance_.add("100 allow ip from any to any");
        board_.publish(appliance_.view());
        auto server = Server::listen(kAnyPort, collector_, &status_);
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }

    Appliance appliance_{1};
    Board board_;
    Collector collector_{board_, appliance_.tally, {.version = "1"}};
    Status status_{board_, appliance_.tally, {.version = "1"}};
    std::unique_ptr<Server> server_;
    std::uint32_t slot_ = 0;
};

TEST_F(ServerTest, Metrics) {
    appliance_.count(0, slot_, 42, 4200);
    const std::string answer = exchange(server_->port(), request("GET", "/metrics"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer.substr(0, 200);
    EXPECT_NE(answer.find("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
              std::string::npos);
    EXPECT_NE(answer.find("\r\nContent-Length: " + std::to_string(body_of(answer).size()) + "\r\n"),
              std::string::npos);
    const Exposition scrape = read_exposition(body_of(answer));
    EXPECT_EQ(scrape.complaints, std::vector<std::string>());
    EXPECT_EQ(scrape.all("sluice_rule_packets_total").front().value, 42);
    // The counters are read, not copied.
    appliance_.count(0, slot_, 1, 100);
    EXPECT_EQ(read_exposition(body_of(exchange(server_->port(), request("GET", "/metrics"))))
                  .all("sluice_rule_packets_total")
                  .front()
                  .value,
              43);
}

TEST_F(ServerTest, HeadHasNoBody) {
    const std::string answer = exchange(server_->port(), request("HEAD", "/metrics"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(body_of(answer), "");
}

TEST_F(ServerTest, NothingElseIsServed) {
    for (const char* path :
         {"/metrics/", "/etc/passwd", "/../../etc/passwd", "/status.css/", "/%2e%2e/etc/passwd"}) {
        const std::string answer = exchange(server_->port(), request("GET", path));
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ")) << path << ": " << answer.substr(0, 40);
    }
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
        const std::string answer = exchange(server_->port(), request(method, "/metrics"));
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 405 ")) << method << ": " << answer.substr(0, 40);
    }
    EXPECT_FALSE(exchange(server_->port(), "nonsense\r\n\r\n").starts_with("HTTP/1.1 200"));
    EXPECT_FALSE(exchange(server_->port(), request("GET", "/" + std::string(20000, 'a')))
                     .starts_with("HTTP/1.1 200"));
}

TEST_F(ServerTest, TheStatusPage) {
    for (const auto& [path, type] : {std::pair("/", "text/html"),
                                     {"/status.css", "text/css"},
                                     {"/status.js", "text/javascript"},
                                     {"/status.json", "application/json"}}) {
        const std::string answer = exchange(server_->port(), request("GET", path));
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << path;
        EXPECT_NE(answer.find("\r\nContent-Type: " + std::string(type)), std::string::npos) << path;
        EXPECT_NE(answer.find("\r\nContent-Security-Policy: default-src 'none'"), std::string::npos)
            << path;
    }
    EXPECT_NE(body_of(exchange(server_->port(), request("GET", "/status.json")))
                  .find("allow ip from any to any"),
              std::string::npos);
}

TEST_F(ServerTest, TheStatusPageIsNotReadUnderTheNameOfAnotherSite) {
    const auto under = [&](const std::string& host, const std::string& path) {
        return exchange(server_->port(), "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
            .substr(9, 3);
    };
    EXPECT_EQ(under("attacker.example", "/status.json"), "421");
    EXPECT_EQ(under("attacker.example:9655", "/"), "421");
    EXPECT_EQ(under("192.0.2.1.attacker.example", "/status.json"), "421");
    EXPECT_EQ(under("127.0.0.1:9655", "/status.json"), "200");
    EXPECT_EQ(under("localhost:8080", "/status.json"), "200");
    EXPECT_EQ(under("appliance.example", "/metrics"), "200");
    server_.reset();
    auto without = Server::listen(kAnyPort, collector_);
    ASSERT_TRUE(without);
    server_ = std::move(*without);
    EXPECT_EQ(under("127.0.0.1", "/"), "404");
    EXPECT_EQ(under("127.0.0.1", "/status.json"), "404");
    EXPECT_EQ(under("127.0.0.1", "/metrics"), "200");
}

TEST_F(ServerTest, ClientsThatSayNothingDoNotStopIt) {
    std::vector<UniqueFd> silent;
    for (int i = 0; i < 3; ++i)
        silent.push_back(connect_to(server_->port()));
    EXPECT_TRUE(exchange(server_->port(), request("GET", "/metrics")).starts_with("HTTP/1.1 200"));
}

TEST_F(ServerTest, AnAddressInUseIsAnErrorInWords) {
    const config::Endpoint taken{.address = kAnyPort.address, .port = server_->port()};
    const auto second = Server::listen(taken, collector_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().status, ExitStatus::unavailable);
    EXPECT_NE(second.error().message.find("another program listens on 127.0.0.1:" +
                                          std::to_string(taken.port)),
              std::string::npos)
        << second.error().message;
    // And its port can be had as soon as it is gone.
    server_.reset();
    EXPECT_TRUE(Server::listen(taken, collector_));
}

TEST_F(ServerTest, AnAddressOfAnotherMachineIsAnErrorInWords) {
    const auto elsewhere =
        Server::listen({.address = Ipv4::from_host(0xc0000201), .port = 9655}, collector_);
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error().status, ExitStatus::unavailable);
    EXPECT_NE(elsewhere.error().message.find("does not have that address"), std::string::npos)
        << elsewhere.error().message;
}

}  // namespace
}  // namespace sluice::metrics
