// sluice-dataplane: the process that moves packets.
#include <getopt.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "common/exit_status.h"
#include "config/settings.h"
#include "dataplane/app/dataplane.h"
#include "dataplane/app/links.h"

namespace {

constexpr char kUsage[] =
    "usage: sluice-dataplane [--config FILE] [--links down|up]\n"
    "\n"
    "Forwards packets between pairs of ports and filters them by the ruleset that\n"
    "sluice-controlplane hands over. Until one has come, everything is dropped.\n"
    "\n"
    "  -c, --config FILE   settings (default /etc/sluice/sluice.toml)\n"
    "  -l, --links down|up moves no packets, but sets the Linux interfaces of ports\n"
    "                      down or up, if the settings have links_when_down = \"down\"\n"
    "  -h, --help          this text\n"
    "  -V, --version       version\n";

int to_int(sluice::ExitStatus status) {
    return static_cast<int>(status);
}

int fail(const sluice::Error& error) {
    std::fprintf(stderr, "sluice-dataplane: %s\n", error.message.c_str());
    return to_int(error.status);
}

std::optional<sluice::dataplane::Link> link_named(std::string_view word) {
    using sluice::dataplane::Link;
    if (word == "down")
        return Link::down;
    return word == "up" ? std::optional(Link::up) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
    std::string path = sluice::config::kDefaultPath;
    std::optional<sluice::dataplane::Link> link;
    constexpr option kOptions[] = {{"config", required_argument, nullptr, 'c'},
                                   {"links", required_argument, nullptr, 'l'},
                                   {"help", no_argument, nullptr, 'h'},
                                   {"version", no_argument, nullptr, 'V'},
                                   {nullptr, 0, nullptr, 0}};
    for (int letter; (letter = getopt_long(argc, argv, "c:l:hV", kOptions, nullptr)) != -1;) {
        switch (letter) {
            case 'c':
                path = optarg;
                break;
            case 'l':
                link = link_named(optarg);
                if (!link) {
                    std::fputs(kUsage, stderr);
                    return to_int(sluice::ExitStatus::usage);
                }
                break;
            case 'h':
                std::fputs(kUsage, stdout);
                return 0;
            case 'V':
                std::puts("sluice-dataplane " SLUICE_VERSION);
                return 0;
            default:
                std::fputs(kUsage, stderr);
                return to_int(sluice::ExitStatus::usage);
        }
    }
    if (optind != argc) {
        std::fputs(kUsage, stderr);
        return to_int(sluice::ExitStatus::usage);
    }
    const auto settings = sluice::config::load(path);
    if (!settings)
        return fail(settings.error());
    if (const auto result = link ? sluice::dataplane::set_links(*settings, *link)
                                 : sluice::dataplane::run(*settings);
        !result)
        return fail(result.error());
    return 0;
}
