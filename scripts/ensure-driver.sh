#!/bin/sh
# Makes sure that some GPU adapter can answer. macOS and Windows bring theirs along; on Linux any Vulkan
# driver manifest will do, and where there is none Mesa's software driver is installed.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
for dir in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
    for manifest in "$dir"/*.json; do
        [ -e "$manifest" ] && exit 0
    done
done
[ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "No Vulkan driver found. Install your card's driver, or Mesa's software driver (mesa-vulkan-drivers)." >&2
    exit 1
fi
echo "No Vulkan driver found: installing Mesa's software driver (mesa-vulkan-drivers)."
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1
