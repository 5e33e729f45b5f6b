; Inno Setup 6 recipe: build.ps1 runs it. UNTESTED HERE: it was written without a Windows machine.
; NSIS cannot hold more than 2 GB, which a CUDA build has; Inno Setup splits the data into slices.
#ifndef Version
  #error Give /DVersion=, /DFrozen= and /DRoot=, as build.ps1 does
#endif

[Setup]
AppId={{6B0E0C9E-5C7E-4E0F-9B6A-9C1D7C7F3A52}
AppName=Mitoscope
AppVersion={#Version}
AppVerName=Mitoscope {#Version}
AppPublisher=The Mitoscope authors
VersionInfoVersion={#Version}
DefaultDirName={autopf}\Mitoscope
DefaultGroupName=Mitoscope
DisableProgramGroupPage=yes
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
; Without administrator's rights it is installed for the reader alone.
PrivilegesRequiredOverridesAllowed=dialog
; The licence of the code, which is accepted; that of the weights is shown apart, before copying.
LicenseFile={#Root}\LICENSE
InfoBeforeFile={#Root}\resources\weights\LICENSE-WEIGHTS.md
SetupIconFile={#Root}\resources\icons\mitoscope.ico
UninstallDisplayIcon={app}\mitoscope-desktop.exe
OutputBaseFilename=mitoscope-{#Version}-windows-x64
Compression=lzma2/max
SolidCompression=yes
DiskSpanning=yes
DiskSliceSize=2000000000
ChangesAssociations=yes
WizardStyle=modern

[Languages]
Name: "en"; MessagesFile: "compiler:Default.isl"
Name: "de"; MessagesFile: "compiler:Languages\German.isl"

[Tasks]
Name: "slides"; Description: "Open whole-slide images (.svs .ndpi .mrxs .scn .bif .svslide) with Mitoscope"
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked

[Files]
Source: "{#Frozen}\*"; DestDir: "{app}"; Flags: recursesubdirs createallsubdirs ignoreversion
Source: "{#Root}\LICENSE"; DestDir: "{app}"; DestName: "LICENSE.txt"
Source: "{#Root}\resources\weights\LICENSE-WEIGHTS.md"; DestDir: "{app}"
; torch >= 2.9 needs a recent Visual C++ runtime; build.ps1 says where to put it.
Source: "{#Root}\resources\installer\windows\vc_redist.x64.exe"; DestDir: "{tmp}"; Flags: deleteafterinstall skipifsourcedoesntexist

[Run]
Filename: "{tmp}\vc_redist.x64.exe"; Parameters: "/install /quiet /norestart"; Check: FileExists(ExpandConstant('{tmp}\vc_redist.x64.exe')) and IsAdminInstallMode; StatusMsg: "Visual C++ runtime"
Filename: "{app}\mitoscope-desktop.exe"; Description: "{cm:LaunchProgram,Mitoscope}"; Flags: nowait postinstall skipifsilent

[Icons]
Name: "{group}\Mitoscope"; Filename: "{app}\mitoscope-desktop.exe"
Name: "{autodesktop}\Mitoscope"; Filename: "{app}\mitoscope-desktop.exe"; Tasks: desktopicon

[Registry]
Root: HKA; Subkey: "Software\Classes\Mitoscope.Slide"; ValueType: string; ValueData: "Whole-slide image"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Mitoscope.Slide\DefaultIcon"; ValueType: string; ValueData: "{app}\mitoscope-desktop.exe,0"
Root: HKA; Subkey: "Software\Classes\Mitoscope.Slide\shell\open\command"; ValueType: string; ValueData: """{app}\mitoscope-desktop.exe"" ""%1"""
#sub Associate
Root: HKA; Subkey: "Software\Classes\{#Suffix}\OpenWithProgids"; ValueType: string; ValueName: "Mitoscope.Slide"; ValueData: ""; Flags: uninsdeletevalue
#endsub
#define Suffix ".svs"
#expr Associate
#define Suffix ".ndpi"
#expr Associate
#define Suffix ".mrxs"
#expr Associate
#define Suffix ".scn"
#expr Associate
#define Suffix ".bif"
#expr Associate
#define Suffix ".svslide"
#expr Associate
; Plain TIFF and DICOM are offered under "Open with" only.
#define Suffix ".tif"
#expr Associate
#define Suffix ".tiff"
#expr Associate
#define Suffix ".dcm"
#expr Associate
#sub MakeDefault
Root: HKA; Subkey: "Software\Classes\{#Suffix}"; ValueType: string; ValueData: "Mitoscope.Slide"; Tasks: slides; Flags: uninsdeletevalue createvalueifdoesntexist
#endsub
#define Suffix ".svs"
#expr MakeDefault
#define Suffix ".ndpi"
#expr MakeDefault
#define Suffix ".mrxs"
#expr MakeDefault
#define Suffix ".scn"
#expr MakeDefault
#define Suffix ".bif"
#expr MakeDefault
#define Suffix ".svslide"
#expr MakeDefault

[Code]
procedure CurUninstallStepChanged(CurUninstallStep: TUninstallStep);
begin
  if (CurUninstallStep = usPostUninstall) and not UninstallSilent then
    MsgBox('What readers made with Mitoscope is kept:' + #13#10 +
      'store, adapters, settings, logs and cache in ' + ExpandConstant('{localappdata}\mitoscope') + ',' + #13#10 +
      'and what the laboratory laid down in ' + ExpandConstant('{commonappdata}\mitoscope') + '.' + #13#10 +
      'Delete these folders if you want them gone.', mbInformation, MB_OK);
end;
