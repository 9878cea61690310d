//! Times every operation with criterion: `cargo bench --manifest-path benches/Cargo.toml -p hot`.

use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    for (name, make) in hot::OPERATIONS {
        let mut operation = make();
        criterion.bench_function(name, |bencher| bencher.iter(&mut operation));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
