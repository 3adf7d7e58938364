#include "dataplane/app/arguments.h"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "dataplane/worker/device.h"

namespace sluice::dataplane {

namespace {

std::string join(const std::vector<unsigned>& numbers) {
    std::string text;
    for (unsigned number : numbers)
        text += (text.empty() ? "" : ",") + std::to_string(number);
    return text;
}

// The CPU of each worker; empty: anywhere.
std::vector<unsigned> worker_cpus(const config::DataPlane& settings,
                                  const std::vector<unsigned>& cpus) {
    if (!settings.cpus.empty())
        return settings.cpus;
    std::vector<unsigned> chosen;
    if (!workers_sleep(settings, cpus.size()))
        for (std::size_t i = 0; i < settings.workers; ++i)
            chosen.push_back(cpus[cpus.size() - 1 - i % cpus.size()]);
    return chosen;
}

std::string lcores(const config::DataPlane& settings, const std::vector<unsigned>& cpus) {
    const std::string anywhere = "@(" + join(cpus) + ")";
    const std::vector<unsigned> chosen = worker_cpus(settings, cpus);
    std::string text = "0" + anywhere;
    for (unsigned i = 0; i < settings.workers; ++i)
        text += "," + std::to_string(i + 1) +
                (chosen.empty() ? anywhere : "@" + std::to_string(chosen[i]));
    return text;
}

std::uint64_t read_number(const std::string& path) {
    unsigned long long value = 0;
    if (FILE* file = std::fopen(path.c_str(), "r")) {
        if (std::fscanf(file, "%llu", &value) != 1)
            value = 0;
        std::fclose(file);
    }
    return value;
}

}  // namespace

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &set))
                cpus.push_back(cpu);
    if (cpus.empty())
        cpus.push_back(0);
    return cpus;
}

bool workers_sleep(const config::DataPlane& settings, std::size_t cpus) {
    switch (settings.idle) {
        case config::Idle::poll:
            return false;
        case config::Idle::backoff:
            return true;
        case config::Idle::automatic:
            break;
    }
    return cpus <= settings.workers + 1;
}

Result<std::vector<std::string>> eal_arguments(const config::Settings& settings,
                                               const std::vector<unsigned>& cpus) {
    const config::DataPlane& dataplane = settings.dataplane;
    for (unsigned cpu : dataplane.cpus)
        if (std::find(cpus.begin(), cpus.end(), cpu) == cpus.end())
            return Error{ExitStatus::data, "CPU " + std::to_string(cpu) +
                                               " of the setting cpus is not available to this "
                                               "process, which has " +
                                               join(cpus)};
    for (const config::Port& port : settings.ports)
        if (!dataplane.huge_pages && worker::needs_huge_pages(port.device))
            return Error{ExitStatus::data, "port " + port.name + ": the device " +
                                               std::string(worker::device_name(port.device)) +
                                               " works in huge pages only; set huge_pages = true, "
                                               "or use net_af_packet"};
    std::vector<std::string> arguments = {"--lcores",
                                          lcores(dataplane, cpus),
                                          "-m",
                                          std::to_string(dataplane.memory_mb),
                                          "--file-prefix=sluice",
                                          "--iova-mode=va",
                                          "--no-telemetry",
                                          "--log-level=" + dataplane.log_level};
    // Nothing is shared with other DPDK processes in either mode.
    if (dataplane.huge_pages)
        arguments.push_back("--in-memory");
    else
        arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    bool has_pci = false;
    for (const config::Port& port : settings.ports) {
        if (!worker::is_pci_address(worker::device_name(port.device)))
            continue;
        has_pci = true;
        arguments.insert(arguments.end(), {"-a", port.device});
    }
    if (!has_pci)
        arguments.push_back("--no-pci");
    arguments.insert(arguments.end(), dataplane.eal_arguments.begin(),
                     dataplane.eal_arguments.end());
    return arguments;
}

Result<Done> check_huge_pages(unsigned needed_mb) {
    constexpr char kFolder[] = "/sys/kernel/mm/hugepages";
    constexpr std::string_view kPrefix = "hugepages-";
    std::uint64_t free_kb = 0;
    if (DIR* folder = opendir(kFolder)) {
        while (const dirent* entry = readdir(folder)) {
            const std::string name = entry->d_name;
            if (name.rfind(kPrefix, 0) == 0)
                free_kb += std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10) *
                           read_number(std::string(kFolder) + "/" + name + "/free_hugepages");
        }
        closedir(folder);
    }
    if (free_kb >= std::uint64_t{needed_mb} * 1024)
        return Done{};
    return Error{ExitStatus::os, "there are " + std::to_string(free_kb / 1024) +
                                     " MB of free huge pages, " + std::to_string(needed_mb) +
                                     " MB are needed: run `sysctl vm.nr_hugepages=" +
                                     std::to_string((needed_mb + 1) / 2) +
                                     "`, or set huge_pages = false in the settings"};
}

}  // namespace sluice::dataplane
