// The files of the status page (page/), as they are built into the program.
#pragma once

#include <span>
#include <string_view>

namespace sluice::metrics {

struct PageFile {
    std::string_view path;  // as in the URL
    std::string_view content;
};

std::span<const PageFile> page_files();

}  // namespace sluice::metrics
