// Whatever arrives on the control socket is a request or an error in words, in whatever pieces it
// arrives; a request that was understood survives being written and read again, and carrying it out
// never does more than fail.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "controlplane/service/protocol.h"
#include "controlplane/service/script.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);

    service::FrameReader reader;
    reader.append(bytes.substr(0, size / 2));
    for (int half = 0; half < 2; ++half) {
        for (;;) {
            const auto message = reader.next();
            if (!message || !*message)
                break;
        }
        reader.append(bytes.substr(size / 2));
    }

    const auto response = service::decode_response(bytes);
    if (response) {
        const auto again = service::decode_response(service::encode(*response));
        if (!again || !(*again == *response))
            std::abort();
    }

    const auto request = service::decode_request(bytes);
    if (!request) {
        if (request.error().message.empty())
            std::abort();
        return 0;
    }
    const auto again = service::decode_request(service::encode(*request));
    if (!again || !(*again == *request))
        std::abort();
    const ruleset::Ruleset empty(false, 64);
    const auto outcome =
        service::run_script(*request, empty, [](std::uint32_t) { return service::RuleTotals{}; });
    if (outcome && outcome->results.size() != request->operations.size())
        std::abort();
    return 0;
}
