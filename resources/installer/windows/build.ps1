# Make the Windows installer of a frozen folder. UNTESTED HERE: written without a Windows machine.
#   py -3.11 -m venv .venv; .venv\Scripts\pip install ".[freeze]"; .venv\Scripts\pyinstaller build.spec
#   resources\installer\windows\build.ps1 dist\mitoscope dist
# Needs Inno Setup 6 (ISCC.exe on the path). Put vc_redist.x64.exe of Visual Studio 2022 beside this
# file to have it installed too. To sign, set MITOSCOPE_SIGN to a command that takes a file, such as
#   signtool sign /fd SHA256 /tr http://timestamp.digicert.com /td SHA256 /n "NAME OF CERTIFICATE"
param([Parameter(Mandatory)][string]$Frozen, [Parameter(Mandatory)][string]$Out)
$ErrorActionPreference = "Stop"
$root = (Resolve-Path "$PSScriptRoot\..\..\..").Path
$folder = (Resolve-Path $Frozen).Path
$version = [regex]::Match((Get-Content -Raw "$root\pyproject.toml"), '(?m)^version = "(.*)"').Groups[1].Value

function Protect-File([string]$File) {
    if ($env:MITOSCOPE_SIGN) {
        cmd /c "$env:MITOSCOPE_SIGN `"$File`""
        if ($LASTEXITCODE) { throw "$File could not be signed" }
    }
}

Protect-File "$folder\mitoscope.exe"
Protect-File "$folder\mitoscope-desktop.exe"
& "$folder\mitoscope.exe" self-test
if ($LASTEXITCODE) { throw "the self-test failed" }
& ISCC.exe "/DVersion=$version" "/DFrozen=$folder" "/DRoot=$root" "/O$Out" "$PSScriptRoot\mitoscope.iss"
if ($LASTEXITCODE) { throw "Inno Setup failed" }
Protect-File "$Out\mitoscope-$version-windows-x64.exe"
