//! Links what uWebSockets needs, with a linker that reads GCC's intermediate objects: rustc's own does not.

fn main() {
    for library in ["stdc++", "z", "uv", "ssl", "crypto"] {
        println!("cargo::rustc-link-arg=-l{library}");
    }
    println!("cargo::rustc-link-arg=-fuse-ld=bfd");
}
