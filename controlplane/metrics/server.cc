// The only file that includes civetweb.
#include "controlplane/metrics/server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <thread>

#include "common/address.h"
#include "common/unique_fd.h"
#include "controlplane/metrics/page.h"

namespace sluice::metrics {
namespace {

constexpr char kThreads[] = "4";
constexpr char kTimeoutMs[] = "5000";

std::string to_string(const config::Endpoint& endpoint) {
    return sluice::to_string(endpoint.address) + ":" + std::to_string(endpoint.port);
}

sockaddr_in socket_address(const config::Endpoint& endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = htonl(endpoint.address.host());
    return address;
}

// civetweb only says that it could not listen. An address on which nobody listens can be bound a
// moment before.
Result<Done> check_address(const config::Endpoint& endpoint) {
    const std::string where = to_string(endpoint);
    const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    const sockaddr_in address = socket_address(endpoint);
    if (!probe || setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return Error{ExitStatus::os, "no socket for metrics: " + std::string(std::strerror(errno))};
    if (bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return Done{};
    const int reason = errno;
    if (reason == EADDRINUSE)
        return Error{ExitStatus::unavailable,
                     "another program listens on " + where +
                         ", where metrics are to be served; stop it, or set listen in [metrics] of "
                         "sluice.toml to another address or port"};
    if (reason == EADDRNOTAVAIL)
        return Error{ExitStatus::unavailable,
                     "metrics cannot be served on " + where +
                         ": this machine does not have that address; set listen in [metrics] of "
                         "sluice.toml to one that it has"};
    return Error{reason == EACCES ? ExitStatus::unavailable : ExitStatus::os,
                 "metrics cannot be served on " + where + ": " + std::strerror(reason)};
}

struct Answer {
    int status = 200;
    std::string_view reason = "OK";
    std::string_view type = "text/plain; charset=utf-8";
    std::string_view header = {};  // one more, with its line end
    std::string body;
};

struct Site {
    Collector& collector;
    const Status* status;
};

// A page of the web could give its own name this address, and then read ours: whoever means us says
// an address, or localhost.
bool is_ours(const char* host) {
    if (host == nullptr)
        return false;
    const std::string_view name = std::string_view(host).substr(0, std::strcspn(host, ":"));
    return name == "localhost" || parse_ipv4(name) || host[0] == '[';
}

std::string_view type_of(std::string_view path) {
    if (path.ends_with(".css"))
        return "text/css; charset=utf-8";
    return path.ends_with(".js") ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8";
}

Answer page(std::string_view path, const Status& status) {
    constexpr std::string_view kPolicy =
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action "
        "'none'\r\nReferrer-Policy: no-referrer\r\n";
    if (path == "/status.json")
        return {.type = "application/json", .header = kPolicy, .body = status.json()};
    if (path == "/")
        path = "/index.html";
    for (const PageFile& file : page_files())
        if (file.path == path)
            return {.type = type_of(path), .header = kPolicy, .body = std::string(file.content)};
    return {.status = 404, .reason = "Not Found", .body = "There is /metrics here, and /.\n"};
}

Answer answer_to(std::string_view method, std::string_view path, const char* host,
                 const Site& site) {
    if (method != "GET" && method != "HEAD")
        return {.status = 405,
                .reason = "Method Not Allowed",
                .header = "Allow: GET, HEAD\r\n",
                .body = "Nothing can be changed here: use GET.\n"};
    if (path == "/metrics")
        return {.type = "text/plain; version=0.0.4; charset=utf-8",
                .body = exposition(site.collector.collect())};
    if (site.status == nullptr)
        return {.status = 404, .reason = "Not Found", .body = "There is only /metrics here.\n"};
    if (!is_ours(host))
        return {.status = 421,
                .reason = "Misdirected Request",
                .body = "This page is shown to who asks for it by an address, or as localhost.\n"};
    return page(path, *site.status);
}

void send(mg_connection* connection, std::string_view method, const Answer& answer) {
    std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " ";
    head.append(answer.reason)
        .append("\r\nContent-Type: ")
        .append(answer.type)
        .append("\r\nContent-Length: ")
        .append(std::to_string(answer.body.size()))
        .append("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n")
        .append(answer.header)
        .append("Connection: close\r\n\r\n");
    if (mg_write(connection, head.data(), head.size()) > 0 && method != "HEAD")
        mg_write(connection, answer.body.data(), answer.body.size());
}

// Called by civetweb, which is C, for each request. What is returned says that it is answered.
int on_request(mg_connection* connection) {
    const mg_request_info* request = mg_get_request_info(connection);
    const std::string_view method = request->request_method;
    const auto& site = *static_cast<const Site*>(request->user_data);
    Answer answer;
    try {
        answer = answer_to(method, request->local_uri != nullptr ? request->local_uri : "",
                           mg_get_header(connection, "Host"), site);
    } catch (const std::exception&) {
        answer = {.status = 503, .reason = "Service Unavailable", .body = ""};
    }
    send(connection, method, answer);
    return answer.status;
}

// Its complaints are about clients, who could write whatever they like into our log.
int ignore_message(const mg_connection*, const char*) {
    return 1;
}

}  // namespace

struct Server::Web {
    Site site;
    mg_context* context = nullptr;
    config::Endpoint endpoint = {};

    explicit Web(Site what) : site(what) {}
    ~Web() {
        if (context != nullptr)
            stop();
        mg_exit_library();
    }

    // civetweb sees that it shall stop when somebody connects, or within two seconds.
    void stop() {
        std::atomic<bool> stopped = false;
        std::thread knocking([&] {
            const sockaddr_in address = socket_address(endpoint);
            while (!stopped) {
                const UniqueFd knock(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                // Whether it is heard is of no interest.
                (void)connect(knock.get(), reinterpret_cast<const sockaddr*>(&address),
                              sizeof address);
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
        });
        mg_stop(context);
        stopped = true;
        knocking.join();
    }
};

Server::Server(std::unique_ptr<Web> web) : web_(std::move(web)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(const config::Endpoint& endpoint,
                                               Collector& collector, const Status* status) {
    if (const Result<Done> free = check_address(endpoint); !free)
        return free.error();
    mg_callbacks callbacks{};
    callbacks.begin_request = on_request;
    callbacks.log_message = ignore_message;
    const std::string where = to_string(endpoint);
    const char* options[] = {"listening_ports",
                             where.c_str(),
                             "num_threads",
                             kThreads,
                             "request_timeout_ms",
                             kTimeoutMs,
                             "enable_keep_alive",
                             "no",
                             "enable_directory_listing",
                             "no",
                             nullptr};
    mg_init_library(MG_FEATURES_DEFAULT);
    auto web = std::make_unique<Web>(Site{.collector = collector, .status = status});
    char text[256] = {};
    mg_init_data init{
        .callbacks = &callbacks, .user_data = &web->site, .configuration_options = options};
    mg_error_data error{.code = nullptr, .text = text, .text_buffer_size = sizeof text};
    web->context = mg_start2(&init, &error);
    if (web->context == nullptr)
        return Error{ExitStatus::os, "metrics cannot be served on " + where + ": " + text};
    std::unique_ptr<Server> server(new Server(std::move(web)));
    server->web_->endpoint = {.address = endpoint.address, .port = server->port()};
    return server;
}

std::uint16_t Server::port() const {
    mg_server_port port{};
    return mg_get_server_ports(web_->context, 1, &port) == 1 ? static_cast<std::uint16_t>(port.port)
                                                             : 0;
}

}  // namespace sluice::metrics
