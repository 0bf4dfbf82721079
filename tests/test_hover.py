"""What an editor shows where the pointer rests on an op: pyright's language server is asked, as an editor asks it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tapem as tm

SOURCE = "import layers\nimport losses\nimport tapem as tm\n"
OPS = {
    "tm.sin": ("(function) sin: Unary", r'Num "\*shape" -&gt; Inexact "\*shape"'),
    "tm.sum": ("(function) sum: Unary[(axis: Axis = None, keepdims: bool = False)]", 'Num "..." -&gt; Num "..."'),
    "layers.linear": ("(function) linear: ", r'Float "out in", Float "out", Float "\*batch in"'),
    "losses.mse": ("(function) mse: ", r'Float "\*shape", Real "\*shape" -&gt; Float'),
}


class Editor:
    """The part of an editor that asks a language server, by JSON over its pipes."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
        self.count = 0
        place = {"uri": folder.as_uri(), "name": folder.name}
        abilities = {"textDocument": {"hover": {"contentFormat": ["markdown"]}}}
        self.ask("initialize", processId=None, rootUri=None, workspaceFolders=[place], capabilities=abilities)
        self.tell("initialized")

    def send(self, **message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.server.stdin.flush()

    def tell(self, method: str, **parameters) -> None:
        self.send(method=method, params=parameters)

    def ask(self, method: str, **parameters):
        self.count += 1
        self.send(id=self.count, method=method, params=parameters)
        while True:
            answer = self.receive()
            if "method" in answer and "id" in answer:  # the server asks back: nothing is known
                self.send(id=answer["id"], result=None)
            elif answer.get("id") == self.count:
                return answer["result"]

    def receive(self):
        size = 0
        while line := self.server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        assert size, "the server has ended"
        return json.loads(self.server.stdout.read(size))

    def close(self) -> None:
        self.server.stdin.close()
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()


def test_hover_shows_an_op_as_a_function_with_its_types(tmp_path):
    pytest.importorskip("pyright", reason="pyright comes with the [test] extra")
    root = str(Path(tm.__file__).parent.parent)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [root]}))
    file = tmp_path / "program.py"
    file.write_text(SOURCE + "".join(f"{op}\n" for op in OPS))
    editor = Editor(tmp_path)
    try:
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": file.read_text()}
        editor.tell("textDocument/didOpen", textDocument=document)
        for line, (op, expected) in enumerate(OPS.items(), start=SOURCE.count("\n")):
            place = {"line": line, "character": len(op) - 1}
            shown = editor.ask("textDocument/hover", textDocument={"uri": file.as_uri()}, position=place)
            text = " ".join(shown["contents"]["value"].split())
            for part in expected:
                assert part in text, text
    finally:
        editor.close()
