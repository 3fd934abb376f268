//! `shard-tool`.

fn main() {
    shard_tool::main(std::env::args_os());
}
