//! Real programs in `strict`, unchanged: what people run works, and what is refused is refused in a way that they live
//! with.

use std::fs;
use std::process::{Command, Output};

use hotcell_testkit::{NEEDS_ROOT, data_dir, have_program, is_root, require_program, skip, workspace};

use crate::hotcell::{Place, text};

/// A place with a folder of code.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("code")).unwrap();
    place
}

/// What a command in `strict` prints, started in `/code`; it must end well.
fn prints(place: &Place, command: &[&str]) -> String {
    place.expect(0, &[&["run", "--code", "code", "--"], command].concat())
}

/// What a shell script in `strict` prints; its first failing command ends it.
fn script(place: &Place, lines: &str) -> String {
    prints(place, &["bash", "-euo", "pipefail", "-c", lines])
}

/// The same in a profile file of `examples/profiles`.
fn in_profile(place: &Place, profile: &str, command: &[&str]) -> Output {
    let file = workspace().join("examples/profiles").join(profile).to_string_lossy().into_owned();
    place.output(&[&["run", "--code", "code", "--profile", &file, "--"], command].concat())
}

#[test]
fn python_runs_threads_subprocesses_multiprocessing_and_maps_files() {
    require_program!("python3");
    let place = place();
    place.file(
        "code/job.py",
        r#"
import asyncio, json, mmap, multiprocessing as mp, os, sqlite3, subprocess, tempfile, threading
from multiprocessing import shared_memory

def square(n):
    return n * n

def main():
    total, lock = [0], threading.Lock()
    def add():
        for _ in range(1000):
            with lock:
                total[0] += 1
    threads = [threading.Thread(target=add) for _ in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
    assert total[0] == 8000
    assert subprocess.run(['tr', 'a-z', 'A-Z'], input=b'abc', capture_output=True, check=True).stdout == b'ABC'
    for method in ('fork', 'spawn', 'forkserver'):
        with mp.get_context(method).Pool(3) as pool:
            assert sum(pool.map(square, range(100))) == 328350, method
    with mp.Manager() as manager:
        shared = manager.dict(); shared['a'] = 1
        assert shared.copy() == {'a': 1}
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.buf[:3] = b'abc'
    again = shared_memory.SharedMemory(name=block.name)
    assert bytes(again.buf[:3]) == b'abc'
    again.close(); block.close(); block.unlink()
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 0) as view:
            view[-5:] = b'hello'
            file.seek(-5, os.SEEK_END)
            assert file.read() == b'hello'
    async def child():
        process = await asyncio.create_subprocess_exec('echo', 'async', stdout=subprocess.PIPE)
        return (await process.communicate())[0]
    assert asyncio.run(child()) == b'async\n'
    base = sqlite3.connect('/scratch/base')
    base.execute('pragma journal_mode = wal'); base.execute('create table t (n)')
    base.executemany('insert into t values (?)', [(n,) for n in range(10)]); base.commit()
    print(json.dumps(base.execute('select sum(n) from t').fetchone()))

if __name__ == '__main__':
    main()
"#,
    );
    assert_eq!(prints(&place, &["python3", "job.py"]), "[45]\n");
}

#[test]
fn a_virtual_environment_with_numpy_and_pandas_works_from_the_code_folder() {
    let system_python = "/usr/bin/python3";
    let has_venv = Command::new(system_python).args(["-m", "ensurepip", "--version"]).output();
    if !has_venv.is_ok_and(|output| output.status.success()) {
        skip!("needs the package python3-venv");
    }
    // Made once for all runs: it is tens of megabytes from a registry.
    let made = data_dir().join("python-environment");
    let ready = made.join("ready");
    if !ready.exists() {
        let _ = fs::remove_dir_all(&made);
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).env("HOME", data_dir()).output().unwrap();
            (output.status.success(), text(&output.stderr))
        };
        let folder = made.to_string_lossy().into_owned();
        let (venv, why) = run(system_python, &["-m", "venv", &folder]);
        assert!(venv, "{why}");
        let pip = made.join("bin/pip").to_string_lossy().into_owned();
        let (installed, why) =
            run(&pip, &["install", "-q", "--no-input", "--retries", "1", "--timeout", "20", "numpy", "pandas"]);
        if !installed {
            skip!("numpy and pandas cannot be fetched: {}", why.lines().last().unwrap_or_default());
        }
        fs::write(&ready, b"").unwrap();
    }
    let place = Place::new();
    place.file("visits.csv", "ward,day,patients\na,2026-01-01,3\nb,2026-01-01,5\na,2026-01-02,4\n");
    let code = made.to_string_lossy().into_owned();
    let sums = "import numpy, sys; a = numpy.arange(1e6).reshape(1000, 1000); \
                print(int((a @ a).trace() > 0), sys.prefix, numpy.linalg.matrix_rank(numpy.eye(50)))";
    let arguments = ["run", "--code", &code, "--", "bin/python", "-c", sums];
    assert_eq!(place.expect(0, &arguments), "1 /code 50\n");
    let table = "import pandas; t = pandas.read_csv('/input/visits', parse_dates=['day']); \
                 t.groupby('ward').patients.sum().to_csv('/output/sums.csv'); \
                 t.to_pickle('/scratch/t'); assert pandas.read_pickle('/scratch/t').equals(t); \
                 print(t.set_index('day').patients.resample('D').sum().tolist())";
    let options = ["run", "--code", &code, "--input", "visits=visits.csv", "--output", "out"];
    assert_eq!(place.expect(0, &[&options[..], &["--", "bin/python", "-c", table]].concat()), "[8, 4]\n");
    assert_eq!(fs::read_to_string(place.path("out/sums.csv")).unwrap(), "ward,patients\na,7\nb,5\n");
}

#[test]
fn node_compiles_while_it_runs_and_has_workers_and_children() {
    require_program!("node");
    let place = place();
    place.file(
        "code/job.js",
        r#"
const { Worker, isMainThread, parentPort } = require('worker_threads');
const { execFileSync } = require('child_process');
if (!isMainThread) {
  let sum = 0;
  for (let n = 0; n < 5e6; n++) sum += n % 7;   // hot enough to be compiled
  parentPort.postMessage(sum);
} else {
  const worker = new Worker(__filename);
  worker.on('message', sum => {
    const said = execFileSync('node', ['-e', 'console.log(6 * 7)']).toString().trim();
    const wasm = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
    require('fs').writeFileSync('/scratch/f', 'x');
    console.log(sum, said, wasm instanceof WebAssembly.Module,
      require('crypto').createHash('sha256').update('abc').digest('hex').slice(0, 8));
  });
}
"#,
    );
    assert_eq!(prints(&place, &["node", "job.js"]), "14999995 42 true ba7816bf\n");
}

#[test]
fn gcc_and_make_build_and_what_they_built_leaves() {
    require_program!("gcc");
    require_program!("make");
    let place = place();
    place.file(
        "code/Makefile",
        "/output/hello: /scratch/a.o /scratch/b.o\n\tgcc -o $@ $^\n/scratch/%.o: %.c\n\tgcc -O2 -c -o $@ $<\n",
    );
    place.file("code/a.c", "int b(void);\nint main(void) { return b(); }\n");
    place.file("code/b.c", "#include <math.h>\nint b(void) { return (int)sqrt(1764.0); }\n");
    place.expect(0, &["run", "--code", "code", "--output", "built", "--", "make", "-s", "-j2"]);
    let status =
        Command::new("sh").args(["-c", "chmod +x built/hello; exec built/hello"]).current_dir(place.path(".")).status();
    assert_eq!(status.unwrap().code(), Some(42));
}

#[test]
fn what_was_built_is_run_inside_only_where_the_profile_says_so() {
    require_program!("gcc");
    let place = place();
    place.file("code/a.c", "int main(void) { return 42; }\n");
    let build = "gcc -o /scratch/a a.c; /scratch/a; echo $?";
    assert_eq!(script(&place, &format!("set +e; {build} 2>/dev/null")), "126\n");
    let built = in_profile(&place, "build.toml", &["bash", "-c", build]);
    assert_eq!((text(&built.stdout).as_str(), built.status.code()), ("42\n", Some(0)), "{}", text(&built.stderr));
}

#[test]
fn a_profile_can_forbid_what_a_compiler_at_run_time_needs() {
    require_program!("node");
    let place = place();
    let jit = in_profile(&place, "no-jit.toml", &["node", "-e", "console.log(1)"]);
    assert!(!jit.status.success(), "{}", text(&jit.stdout));
    let interpreted = in_profile(&place, "no-jit.toml", &["node", "--jitless", "-e", "console.log(1)"]);
    assert_eq!(text(&interpreted.stdout), "1\n", "{}", text(&interpreted.stderr));
    let ample = in_profile(&place, "jit.toml", &["node", "-e", "console.log(1)"]);
    assert_eq!(text(&ample.stdout), "1\n", "{}", text(&ample.stderr));
}

#[test]
fn git_works_on_a_local_repository() {
    require_program!("git");
    let place = place();
    place.file("code/file", "one\n");
    let lines = "git init -q -b main /scratch/repository; cd /scratch/repository; \
                 git config user.name n; git config user.email e@e; \
                 cp /code/file .; git add file; git commit -q -m first; echo two >> file; git commit -qam second; \
                 git clone -q . /scratch/clone; git -C /scratch/clone log --format=%s; git diff --stat HEAD~1 | tail -1; \
                 git gc -q; git fsck 2>/dev/null; git archive HEAD | tar tf -";
    assert_eq!(script(&place, lines), "second\nfirst\n 1 file changed, 1 insertion(+)\nfile\n");
}

#[test]
fn sqlite_perl_tar_and_a_pipeline_work() {
    let place = place();
    place.file("code/words", "b\na\nb\nc\nb\na\n");
    assert_eq!(script(&place, "sort words | uniq -c | sort -rn | awk '{print $2}' | head -2 | paste -sd,"), "b,a\n");
    assert_eq!(
        script(&place, "set +o pipefail; yes | head -c 1000000 | wc -c; seq 100000 | sed -n '$p'"),
        "1000000\n100000\n"
    );
    let tar = "mkdir /scratch/d; cp words /scratch/d; cd /scratch; for z in '' z; do tar c${z}f a d; rm -r d; tar xf a; done; \
               cmp d/words /code/words && tar tvf a | awk '{print $NF}' | paste -sd' '; \
               cat d/words <(echo substituted) | tail -1 <<< \"$(cat)\" | head -1";
    assert_eq!(script(&place, tar), "d/ d/words\nsubstituted\n");
    if have_program("sqlite3") {
        let sql = "pragma journal_mode=wal; create table t(n); insert into t values (40), (2); select sum(n) from t;";
        assert_eq!(prints(&place, &["sqlite3", "/scratch/base", sql]), "wal\n42\n");
    }
    require_program!("perl");
    let perl = r#"use strict; my $pid = open(my $child, '-|') // die $!; if (!$pid) { print "from child\n"; exit 0 }
        print scalar <$child>; my %h = map { $_ => 1 } qw(a b); print join(',', sort keys %h), "\n";
        print "matched\n" if "abc" =~ /^(?<first>a)/ && $+{first} eq 'a';"#;
    assert_eq!(prints(&place, &["perl", "-e", perl]), "from child\na,b\nmatched\n");
}

#[test]
fn static_and_dynamic_programs_of_rust_and_c_run_from_the_code_folder() {
    let place = place();
    // Hotcell itself is static.
    fs::copy(env!("CARGO_BIN_EXE_hotcell"), place.path("code/hotcell")).unwrap();
    assert!(prints(&place, &["/code/hotcell", "--version"]).starts_with("hotcell "));
    if have_program("gcc") {
        place.file("code/c.c", "#include <pthread.h>\n#include <stdio.h>\nstatic void *f(void *x) { return x; }\n\
            int main(void) { pthread_t t; void *r; return pthread_create(&t, 0, f, \"x\") || pthread_join(t, &r) || puts(r) < 0; }\n");
        for (name, options) in [("static", "-static"), ("dynamic", "-pthread")] {
            let build = format!("gcc {options} -o {name} c.c");
            assert!(
                Command::new("sh").args(["-c", &build]).current_dir(place.path("code")).status().unwrap().success()
            );
            assert_eq!(prints(&place, &[&format!("./{name}")]), "x\n", "{name}");
        }
    }
    let source = "fn main() { let t = std::thread::spawn(|| std::fs::read_to_string(\"/proc/self/comm\").unwrap()); \
                  print!(\"{}\", t.join().unwrap()); }";
    place.file("code/r.rs", source);
    let rustc = Command::new("rustc").args(["-o", "rust", "r.rs"]).current_dir(place.path("code")).output();
    match rustc {
        Ok(built) if built.status.success() => assert_eq!(prints(&place, &["./rust"]), "rust\n"),
        // The compiler that builds these tests lies in somebody's home, where the other user does not see it.
        _ if !is_root() => skip!("{NEEDS_ROOT}"),
        _ => skip!("needs the program `rustc`"),
    }
}

#[test]
fn a_static_program_of_go_runs() {
    // Written in Go, linked statically, with Go's own threads, signals and poller.
    require_program!("gosu");
    let place = place();
    assert!(prints(&place, &["gosu", "--version"]).contains("go"));
    require_program!("age");
    let lines = "age-keygen -o /scratch/key 2>/dev/null; head -c 3000000 /dev/zero > /scratch/zeros; \
                 age -r \"$(age-keygen -y /scratch/key)\" -o /scratch/sealed /scratch/zeros; \
                 age -d -i /scratch/key /scratch/sealed | cmp - /scratch/zeros && echo same";
    assert_eq!(script(&place, lines), "same\n");
}

#[test]
fn localhost_has_servers_clients_and_a_name() {
    require_program!("python3");
    let place = place();
    place.file(
        "code/net.py",
        r#"
import asyncio, http.server, socket, threading, urllib.request
names = {info[4][0] for info in socket.getaddrinfo('localhost', 80)}
assert names == {'127.0.0.1', '::1'}, names
assert socket.getaddrinfo('localhost', 80, flags=socket.AI_ADDRCONFIG)
assert socket.gethostbyname('localhost') == '127.0.0.1' and socket.gethostbyname('hotcell') == '127.0.0.1'
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'served')
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f'http://localhost:{server.server_port}/').read().decode())
a, b = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
a.bind(('127.0.0.1', 0)); b.sendto(b'datagram', a.getsockname()); print(a.recv(99).decode())
async def echo():
    async def serve(reader, writer):
        writer.write(await reader.read(99)); await writer.drain(); writer.close()
    server = await asyncio.start_server(serve, 'localhost', 0)
    reader, writer = await asyncio.open_connection('::1', next(s.getsockname()[1] for s in server.sockets if s.family == socket.AF_INET6))
    writer.write(b'echoed'); print((await reader.read(99)).decode()); writer.close()
asyncio.run(echo())
"#,
    );
    assert_eq!(prints(&place, &["python3", "net.py"]), "served\ndatagram\nechoed\n");
    if have_program("node") {
        let node = "const s = require('http').createServer((q, r) => r.end('node')).listen(0, 'localhost', async () => { \
                    console.log(await (await fetch(`http://localhost:${s.address().port}`)).text()); s.close(); process.exit() })";
        assert_eq!(prints(&place, &["node", "-e", node]), "node\n");
    }
    require_program!("perl");
    let perl = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => 'localhost', Proto => 'tcp') or die $@; \
                if (!fork) { my $c = IO::Socket::INET->new(PeerAddr => 'localhost', PeerPort => $s->sockport) or die $@; print $c 'perl'; exit } \
                my $c = $s->accept; print <$c>, \"\\n\";";
    assert_eq!(prints(&place, &["perl", "-e", perl]), "perl\n");
}

#[test]
fn what_is_refused_is_refused_in_a_way_that_programs_live_with() {
    require_program!("python3");
    require_program!("unshare");
    let place = place();
    let lines = "set +e; unshare -r true 2>/dev/null; echo $?; unshare -n true 2>/dev/null; echo $?; echo on";
    assert_eq!(script(&place, lines), "1\n1\non\n");
    if have_program("strace") {
        let traced = "set +e; strace -o /scratch/trace true > /scratch/said 2>&1; test $? -ne 0 && \
                      grep -q 'Operation not permitted' /scratch/said && echo told";
        assert_eq!(script(&place, traced), "told\n");
    }
    place.file(
        "code/refused.py",
        r#"
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def name(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return 'allowed'
print(name(lambda: socket.create_connection(('192.0.2.1', 80), 5)))
print(name(lambda: socket.create_connection(('example.org', 80), 5)))
print(name(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)))
print(name(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)))  # MPTCP
print(name(lambda: os.mknod('/scratch/d', 0o60600, os.makedev(8, 0))))
print(name(lambda: open('/etc/passwd', 'a')))
print(libc.ptrace(16, 1, 0, 0), ctypes.get_errno())
print('on')
"#,
    );
    let refused = "OSError\ngaierror\nPermissionError\nPermissionError\nPermissionError\nPermissionError\n-1 1\non\n";
    assert_eq!(prints(&place, &["python3", "refused.py"]), refused);
    if have_program("node") && !is_root() {
        // A watcher of files is refused: node says so by its error and goes on.
        let node = "require('fs').watch('.').on('error', e => console.log(e.code))";
        let said = place.output(&["run", "--code", "code", "--", "node", "-e", node]);
        assert!(text(&[said.stdout, said.stderr].concat()).contains("EPERM"));
    }
}
