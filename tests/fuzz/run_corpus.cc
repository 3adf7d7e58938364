// Stands in for libFuzzer where the compiler has none: runs a fuzz target over the files of its
// corpus folder and over twenty thousand variations of them, always the same ones.
//
//     TARGET_corpus FOLDER [VARIATIONS]
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/reference/random_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

std::vector<Input> read_corpus(const std::string& folder) {
    std::vector<std::filesystem::path> paths;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<Input> inputs = {{}};
    for (const auto& path : paths) {
        std::ifstream stream(path, std::ios::binary);
        inputs.emplace_back(std::istreambuf_iterator<char>(stream),
                            std::istreambuf_iterator<char>());
    }
    return inputs;
}

void vary(Input& input, sluice::reference::Random& random) {
    for (unsigned changes = random.between(1, 6); changes > 0; --changes) {
        const auto size = static_cast<unsigned>(input.size());
        const unsigned at = size == 0 ? 0 : random.below(size);
        const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
        switch (random.below(5)) {
            case 0:
                input.insert(place, static_cast<std::uint8_t>(random.next()));
                break;
            case 1:
                if (size != 0)
                    input.erase(place, input.end());
                break;
            case 2:
                if (size != 0)
                    input[at] = static_cast<std::uint8_t>(random.next());
                break;
            case 3:
                if (size != 0)
                    input[at] ^= static_cast<std::uint8_t>(1u << random.below(8));
                break;
            default:
                for (int i = 0; i < 5; ++i)
                    input.push_back(static_cast<std::uint8_t>(random.next()));
        }
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (argument_count < 2)
        return 64;
    const std::vector<Input> corpus = read_corpus(arguments[1]);
    for (const Input& input : corpus)
        LLVMFuzzerTestOneInput(input.data(), input.size());
    const unsigned long variations =
        argument_count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 20000;
    sluice::reference::Random random(1);
    for (unsigned long i = 0; i < variations; ++i) {
        Input input = random.pick(corpus);
        vary(input, random);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%zu inputs and %lu variations\n", corpus.size(), variations);
    return 0;
}
