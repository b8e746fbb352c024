#pragma once
// Everything a program needs.

#include "postern/cgi/Cgi.h"
#include "postern/client/ConnectWebSocket.h"
#include "postern/client/ReconnectingWebSocket.h"
#include "postern/fiber/Blocking.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "postern/main/GenericMain.h"
#include "postern/websocket/ThreadWebSocket.h"
#include "postern/websocket/WebSocket.h"
