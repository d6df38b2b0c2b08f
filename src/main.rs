//! The command line; see `anomem --help`.

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    skip_mesa_device_select_without_a_session();
    anomem::cli::main()
}

/// Switches Mesa's Vulkan layer `device_select` off where it can only fail.
///
/// It asks the Wayland compositor for the default device, and on a server without a login session
/// libwayland then prints `error: XDG_RUNTIME_DIR is invalid`, for every instance, although nothing
/// is wrong. Its own switches, if they are set, keep it.
#[cfg(target_os = "linux")]
fn skip_mesa_device_select_without_a_session() {
    let asks = ["XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "MESA_VK_DEVICE_SELECT", "DRI_PRIME"];
    if asks.iter().all(|name| std::env::var_os(name).is_none()) {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
