"""What `cargo xtask` needs of Python besides pip: hashing and unpacking packages. Standard library only, Python 3.8 and newer.

    wheels.py hash FILE...                    prints the sha256 of each
    wheels.py unpack FLAVOUR FOLDER WHEEL...  unpacks into FOLDER, checking each file against the wheel's RECORD, and
                                              writes FOLDER/stamp.json; FLAVOUR is cpu or cuda
    wheels.py verify FOLDER                   hashes everything again and compares with the stamp
    wheels.py take FOLDER INSIDE              takes the files below INSIDE out of the only .tar.gz in FOLDER, and removes it
"""

import base64
import hashlib
import json
import os
import shutil
import sys
import tarfile
import zipfile

BLOCK = 1 << 20
# Of torch/lib a CPU build keeps these; `libtorch.so` becomes a linker script for them.
CPU_LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libtorch_global_deps.so"}
LINKER_SCRIPT = b"INPUT(AS_NEEDED(libtorch_cpu.so))\n"


def wanted(flavour, name):
    if name.endswith("/"):
        return False
    parts = name.split("/")
    if parts[0] == "torch":
        if name == "torch/version.py" or parts[1] in ("include", "share"):
            return True
        if parts[1] != "lib" or len(parts) != 3:
            return False
        return flavour == "cuda" and parts[2] != "libtorch_python.so" or parts[2] in CPU_LIBRARIES
    return parts[0] == "nvidia" and ".so" in parts[-1]


def records(wheel):
    """The sha256 of each file as the wheel's own RECORD has it."""
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/RECORD"))
    found = {}
    for line in wheel.read(name).decode().splitlines():
        path, digest, _ = line.rsplit(",", 2)
        if digest.startswith("sha256="):
            raw = digest[len("sha256="):]
            found[path.strip('"')] = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).hex()
    return found


class Progress:
    def __init__(self, what, total):
        self.what, self.total, self.done, self.shown = what, max(total, 1), 0, -1
        self.live, self.parent = sys.stderr.isatty(), os.getppid()

    def add(self, count):
        if os.getppid() != self.parent:
            sys.exit("whoever asked for this is gone")
        self.done += count
        percent = self.done * 100 // self.total
        if percent != self.shown and (self.live or percent % 25 == 0):
            self.shown = percent
            text = f"{self.what}: {percent:3d} % of {self.total / 1e6:.0f} MB"
            print("\r" + text if self.live else text, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self):
        if self.live:
            print(file=sys.stderr)


def write(path, blocks):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for block in blocks:
            digest.update(block)
            out.write(block)
    if ".so" in os.path.basename(path):
        os.chmod(path, 0o755)
    return digest.hexdigest()


def unpack(flavour, folder, paths):
    wheels = [zipfile.ZipFile(path) for path in paths]
    members = [[m for m in wheel.infolist() if wanted(flavour, m.filename)] for wheel in wheels]
    progress = Progress("unpacking", sum(m.file_size for some in members for m in some))
    digests = {}
    for wheel, some in zip(wheels, members):
        record = records(wheel)
        for member in some:
            name = member.filename
            if os.path.isabs(name) or ".." in name.split("/"):
                sys.exit(f"`{name}` leads out of the folder")

            def blocks():
                with wheel.open(member) as source:
                    while block := source.read(BLOCK):
                        progress.add(len(block))
                        yield block

            digest = write(os.path.join(folder, name), blocks())
            if name in record and record[name] != digest:
                sys.exit(f"`{name}` is damaged: the wheel's RECORD has another sha256")
            digests[name] = digest
    progress.end()
    if flavour == "cpu":
        name = "torch/lib/libtorch.so"
        digests[name] = write(os.path.join(folder, name), [LINKER_SCRIPT])
    files = {}
    for name in sorted(digests):
        stat = os.stat(os.path.join(folder, name))
        files[name] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digests[name]}
    stamp = {"flavour": flavour, "wheels": sorted(os.path.basename(p) for p in paths), "files": files}
    with open(os.path.join(folder, "stamp.json"), "w") as out:
        json.dump(stamp, out)
        out.flush()
        os.fsync(out.fileno())


def sha256(path, progress=None):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
            if progress:
                progress.add(len(block))
    return digest.hexdigest()


def verify(folder):
    with open(os.path.join(folder, "stamp.json")) as source:
        files = json.load(source)["files"]
    progress = Progress("verifying", sum(f["size"] for f in files.values()))
    for name, expected in files.items():
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            sys.exit(f"`{path}` is gone")
        if sha256(path, progress) != expected["sha256"]:
            sys.exit(f"`{path}` is not what was installed")
    progress.end()


def take(folder, inside):
    packages = [name for name in os.listdir(folder) if name.endswith(".tar.gz")]
    if len(packages) != 1:
        sys.exit(f"there should be one package in `{folder}`: {packages}")
    path = os.path.join(folder, packages[0])
    with tarfile.open(path) as package:
        for member in package:
            above, name = os.path.split("/" + member.name)
            if member.isfile() and above.endswith(inside):
                with package.extractfile(member) as source, open(os.path.join(folder, name), "wb") as out:
                    shutil.copyfileobj(source, out)
    os.remove(path)


def main(arguments):
    what = arguments[0]
    if what == "hash":
        for path in arguments[1:]:
            print(sha256(path))
    elif what == "unpack":
        unpack(arguments[1], arguments[2], arguments[3:])
    elif what == "verify":
        verify(arguments[1])
    elif what == "take":
        take(arguments[1], arguments[2])
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
