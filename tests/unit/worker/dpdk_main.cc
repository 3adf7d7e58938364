// DPDK can be started once in a process: for all tests, without huge pages and without devices.
#include <gtest/gtest.h>

#include "dataplane/worker/eal.h"

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    auto eal =
        sluice::worker::Eal::start({"--no-huge", "-m", "192", "--no-pci", "--no-shconf",
                                    "--no-telemetry", "--file-prefix=sluice-test", "--iova-mode=va",
                                    "--log-level=error", "--lcores", "0@0,1@0,2@0"});
    if (!eal) {
        std::fprintf(stderr, "%s\n", eal.error().message.c_str());
        return 1;
    }
    return RUN_ALL_TESTS();
}
