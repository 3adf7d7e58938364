// sluice-controlplane: owns the rules, gives them to the data plane, writes the log.

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "common/service_manager.h"
#include "common/unique_fd.h"
#include "config/settings.h"
#include "controlplane/log/log_line.h"
#include "controlplane/log/log_writer.h"
#include "controlplane/metrics/collector.h"
#include "controlplane/metrics/server.h"
#include "controlplane/metrics/status.h"
#include "controlplane/patterns/database.h"
#include "controlplane/service/audit_log.h"
#include "controlplane/service/confinement.h"
#include "controlplane/service/control_server.h"
#include "controlplane/service/controller.h"
#include "controlplane/service/database_maker.h"
#include "controlplane/service/event_loop.h"
#include "controlplane/service/history_keeper.h"
#include "controlplane/service/request_kind.h"
#include "controlplane/service/roles.h"

namespace {

using namespace sluice;

constexpr char kUsage[] =
    "usage: sluice-controlplane [--config PATH]\n"
    "\n"
    "The control plane of Sluice: keeps the ruleset that ipfw(8) edits, compiles it and hands it\n"
    "to sluice-dataplane, writes the log, and serves metrics.\n"
    "\n"
    "  -c, --config PATH  settings (default /etc/sluice/sluice.toml)\n"
    "  -h, --help         this text\n"
    "  -V, --version      version\n"
    "\n"
    "SIGHUP opens the log file anew; SIGTERM and SIGINT end the program. The data plane goes on\n"
    "filtering without it.\n";

void report(const std::string& sentence) {
    std::fprintf(stderr, "sluice-controlplane: %s\n", log::printable(sentence).c_str());
}

int fail(const Error& error) {
    report(error.message);
    return static_cast<int>(error.status);
}

// Signals arrive through the loop, like everything else.
Result<UniqueFd> signal_descriptor() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGHUP, SIGINT, SIGTERM})
        sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        return Error{ExitStatus::os, std::string("signalfd: ") + std::strerror(errno)};
    return fd;
}

log::LogWriter make_log_writer(const config::ControlPlane& settings) {
    std::vector<std::unique_ptr<log::LogSink>> sinks;
    const log::Format format = settings.json_log ? log::Format::json : log::Format::classic;
    if (!settings.log_file.empty())
        sinks.push_back(log::make_file_sink(settings.log_file, report, format));
    if (settings.syslog)
        sinks.push_back(log::make_syslog_sink(report));
    return log::LogWriter(std::move(sinks), log::make_syslog_sink(report), format);
}

service::AuditLog make_audit_log(const config::Control& settings) {
    return service::AuditLog(report, settings.audit_log.empty()
                                         ? nullptr
                                         : log::make_file_sink(settings.audit_log, report));
}

constexpr std::chrono::seconds kLastWrite{3};

int serve(const config::Settings& settings) {
    Result<UniqueFd> signals = signal_descriptor();
    if (!signals)
        return fail(signals.error());
    Result<std::unique_ptr<service::EventLoop>> created = service::EventLoop::create();
    if (!created)
        return fail(created.error());
    service::EventLoop& loop = **created;
    log::LogWriter log_writer = make_log_writer(settings.controlplane);
    service::Observation observation;
    std::unique_ptr<service::HistoryKeeper> history;
    if (const std::string& folder = settings.control.state_directory; !folder.empty()) {
        auto opened = service::HistoryKeeper::open(
            loop, history::folder_at(folder + "/history"),
            {.clock_s = service::wall_clock_s, .failures = &observation.tally.history_write_errors},
            report);
        if (!opened)
            return fail(opened.error());
        history = std::move(*opened);
    }
    auto databases = service::DatabaseMaker::start();
    if (!databases)
        return fail(databases.error());
    service::Controller controller(loop,
                                   {.dataplane_socket = settings.dataplane.socket,
                                    .default_accept = settings.controlplane.default_accept,
                                    .observation = &observation,
                                    .history = history.get(),
                                    .databases = databases->get()},
                                   log_writer, report);
    const metrics::CollectorOptions shown{.rules = settings.metrics.rules,
                                          .version = SLUICE_VERSION};
    metrics::Collector collector(observation.board, observation.tally, shown);
    const metrics::Status status(observation.board, observation.tally, shown);
    std::unique_ptr<metrics::Server> web;  // takes a moment to stop: behind the control socket
    const Result<service::Roles> roles = service::Roles::resolve(settings.control);
    if (!roles)
        return fail(roles.error());
    service::AuditLog audit_log = make_audit_log(settings.control);
    const auto server = service::ControlServer::listen(
        loop, settings.controlplane.control_socket,
        {.group = settings.controlplane.control_group, .roles = *roles},
        [&](service::Request request, const service::Caller& peer,
            service::ControlServer::Reply reply) {
            auto counted = service::counted(request, std::move(reply), observation.tally);
            if (peer.role < service::needed_for(request)) {
                const Error error = service::permission_denied(peer, request);
                audit_log.refused(request, peer, error);
                return counted(service::refusal(error));
            }
            const auto* first =
                request.operations.empty() ? nullptr : &request.operations.front().what;
            // The controller need not know of it.
            if (first != nullptr && std::holds_alternative<service::StatusOperation>(*first))
                return counted(controller.told({status.json()}));
            auto recorded =
                audit_log.recorded(request, peer, controller.generation(), std::move(counted));
            if (const auto* follow = std::get_if<service::FollowOperation>(first))
                return controller.follow(*follow, peer.follow(), recorded);
            service::Author author{.uid = peer.user,
                                   .user = {},
                                   .did = log::printable(service::described(request)),
                                   .whole = request.whole};
            if (peer.role == service::Role::admin)
                author.user = service::user_name(peer.user);
            controller.submit(std::move(request), std::move(recorded), std::move(author));
        });
    if (!server)
        return fail(server.error());
    if (settings.metrics.listen) {
        auto listening = metrics::Server::listen(*settings.metrics.listen, collector,
                                                 settings.metrics.status_page ? &status : nullptr);
        if (!listening)
            return fail(listening.error());
        web = std::move(*listening);
    }

    // What was accepted last goes to the disk first, unless that keeps us.
    const auto end = [&] {
        if (history == nullptr)
            return loop.stop();
        loop.after(kLastWrite, [&] { loop.stop(); });
        history->finish([&](const Result<Done>&) { loop.stop(); });
    };
    const int fd = signals->get();
    loop.watch(fd, EPOLLIN, [&](std::uint32_t) {
        signalfd_siginfo info{};
        while (read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo != SIGHUP) {
                end();
                continue;
            }
            log_writer.reopen();
            audit_log.reopen();
        }
    });
    controller.start();
    const Result<bool> filtered = service::confine_after_start();
    if (!filtered)
        return fail(filtered.error());
    if (!*filtered)
        report("this build has no system call filter");
    if (const auto period = watchdog_period())
        loop.every(*period / 4, [] { notify_service_manager("WATCHDOG=1"); });
    notify_service_manager("READY=1");
    loop.run();
    notify_service_manager("STOPPING=1");
    controller.drain_logs();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string path = config::kDefaultPath;
    static const option kOptions[] = {{"config", required_argument, nullptr, 'c'},
                                      {"help", no_argument, nullptr, 'h'},
                                      {"version", no_argument, nullptr, 'V'},
                                      {nullptr, 0, nullptr, 0}};
    for (int c = 0; (c = getopt_long(argc, argv, "c:hV", kOptions, nullptr)) != -1;) {
        switch (c) {
            case 'c':
                path = optarg;
                break;
            case 'h':
                std::fputs(kUsage, stdout);
                return 0;
            case 'V':
                std::puts("sluice-controlplane " SLUICE_VERSION);
                return 0;
            default:
                std::fputs(kUsage, stderr);
                return static_cast<int>(ExitStatus::usage);
        }
    }
    if (optind != argc) {
        std::fputs(kUsage, stderr);
        return static_cast<int>(ExitStatus::usage);
    }
    const Result<config::Settings> settings = config::load(path);
    if (!settings)
        return fail(settings.error());
    if (const Result<Done> confined = service::confine_before_start(*settings); !confined)
        return fail(confined.error());
    // Later it may start nothing any more. Without patterns nobody misses it.
    if (const Result<Done> started = patterns::start_compiler(); !started)
        report(started.error().message);
    if (const std::string& folder = settings->control.state_directory; !folder.empty())
        patterns::set_database_folder(folder + "/patterns");
    // What a large ruleset took while it was loaded the next one takes again, and sooner if the
    // kernel need not be asked for every page of it once more.
    constexpr int kKeptMemory = 64 << 20, kOwnMappings = 32 << 20;
    mallopt(M_TRIM_THRESHOLD, kKeptMemory);
    mallopt(M_MMAP_THRESHOLD, kOwnMappings);
    umask(0027);
    signal(SIGPIPE, SIG_IGN);
    return serve(*settings);
}
