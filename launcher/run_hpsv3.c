// run_hpsv3.exe of a release for Windows: starts lib\node.exe beside it with lib\app\bin\run_hpsv3.js and its own arguments, waits, and ends
// as that ends. It links to kernel32.dll alone. Built by build.sh; the .exe is committed.
typedef unsigned short WCHAR; // wchar_t of Windows
typedef unsigned int DWORD;
typedef void *HANDLE;

// As in the headers of Windows, winbase.h and processthreadsapi.h.
typedef struct {
  DWORD cb;
  WCHAR *reserved, *desktop, *title;
  DWORD x, y, width, height, columns, rows, fill, flags;
  unsigned short show, reserved_bytes;
  unsigned char *reserved_data;
  HANDLE input, output, error;
} STARTUPINFOW;
typedef struct {
  HANDLE process, thread;
  DWORD process_id, thread_id;
} PROCESS_INFORMATION;

#define WINDOWS __declspec(dllimport)
WINDOWS DWORD GetModuleFileNameW(HANDLE, WCHAR *, DWORD);
WINDOWS WCHAR *GetCommandLineW(void);
WINDOWS int CreateProcessW(const WCHAR *, WCHAR *, void *, void *, int, DWORD, void *, const WCHAR *, STARTUPINFOW *, PROCESS_INFORMATION *);
WINDOWS DWORD WaitForSingleObject(HANDLE, DWORD);
WINDOWS int GetExitCodeProcess(HANDLE, DWORD *);
WINDOWS int SetConsoleCtrlHandler(int (*)(DWORD), int);
WINDOWS HANDLE GetStdHandle(DWORD);
WINDOWS int WriteFile(HANDLE, const void *, DWORD, DWORD *, void *);
WINDOWS void ExitProcess(DWORD);

#define STD_ERROR_HANDLE ((DWORD)-12)
#define INFINITE 0xffffffffu

#define CAPACITY 32768

static WCHAR folder[CAPACITY];
static WCHAR command[CAPACITY];

static void fail(const char *text, DWORD bytes) {
  DWORD written;
  WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, bytes, &written, 0);
  ExitProcess(1);
}

static WCHAR *append(WCHAR *at, const WCHAR *text) {
  while (*text) {
    if (at >= command + CAPACITY - 1) fail("run_hpsv3: the command line is too long\r\n", 41);
    *at++ = *text++;
  }
  *at = 0;
  return at;
}

// The arguments as they were typed, without the program's own name: quoted up to the next quote, else up to a space.
static const WCHAR *arguments(const WCHAR *line) {
  int quoted = 0;
  while (*line && (quoted || (*line != L' ' && *line != L'\t'))) {
    if (*line == L'"') quoted = !quoted;
    line++;
  }
  return line;
}

// Ctrl-C reaches the program below as well, which says when it is done. A handler is not handed down to it, where ignoring would be.
static int wait_for_program(DWORD event) { return 1; }

void start(void) {
  STARTUPINFOW startup = {0};
  PROCESS_INFORMATION process;
  DWORD length = GetModuleFileNameW(0, folder, CAPACITY);
  DWORD code = 1;
  if (length == 0 || length >= CAPACITY) fail("run_hpsv3: the path is too long\r\n", 33);
  while (length > 0 && folder[length - 1] != L'\\') length--;
  folder[length] = 0;
  WCHAR *at = append(command, L"\"");
  at = append(at, folder);
  at = append(at, L"lib\\node.exe\" \"");
  at = append(at, folder);
  at = append(at, L"lib\\app\\bin\\run_hpsv3.js\"");
  append(at, arguments(GetCommandLineW()));
  startup.cb = sizeof startup;
  SetConsoleCtrlHandler(wait_for_program, 1);
  if (!CreateProcessW(0, command, 0, 0, 1, 0, 0, 0, &startup, &process)) fail("run_hpsv3: lib\\node.exe cannot be started\r\n", 43);
  WaitForSingleObject(process.process, INFINITE);
  GetExitCodeProcess(process.process, &code);
  ExitProcess(code);
}
